"""Cases of `geolab.kernels.topk`: 10 nearest of 100,000 (with ``--big`` a million) embeddings.

The vectors are synthetic: 256 clusters around a common offset, length 1, as embeddings of photos
are. Every exact peer is here that is installed; ours searches an index that was built before, as
faiss does. Building is not in the times.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from geolab.bench.harness import Case
from geolab.bench.measure import Ceilings
from geolab.kernels.topk import build_index, topk

K, DIM = 10, 512
_TARGETS = {1: 0.7, 64: 0.15, 256: 0.45, 1000: 0.6}
FAISS = "faiss IndexFlatIP"


def embeddings(n: int, dim: int, seed: int) -> Tensor:
    """Synthetic unit vectors (n, dim) float32 in clusters around a common offset."""
    centre = 1 + torch.randn(256, dim, generator=torch.Generator().manual_seed(99))
    g = torch.Generator().manual_seed(seed)
    out = torch.empty(n, dim)
    for rows in out.split(8192):
        pick = torch.randint(256, (len(rows),), generator=g)
        rows.copy_(centre[pick] + 0.6 * torch.randn(len(rows), dim, generator=g))
        rows.copy_(torch.nn.functional.normalize(rows, dim=1))
    return out


def cases(big: bool) -> list[Case]:
    """1, 64 and 1000 queries against 1e5 rows; ``--big`` adds 256 against 1e6 (6 GB)."""
    made = _cases(100_000, (1, 64, 1000))
    return made + _cases(1_000_000, (256,)) if big else made


def _cases(n: int, sizes: tuple[int, ...]) -> list[Case]:
    base = embeddings(n, DIM, 1)
    index, peer = build_index(base), _faiss(base)
    return [_case(base, index, peer, embeddings(q, DIM, 2)) for q in sizes]


def _case(base: Tensor, index, faiss_search: Callable | None, queries: Tensor) -> Case:
    q = len(queries)
    return Case(
        kernel="topk",
        name=f"{q} queries" if q > 1 else "1 query",
        size=f"{q} x {len(base)} x {DIM}, k {K}",
        ours=lambda: topk(queries, index, K),
        peers={
            FAISS: None if faiss_search is None else lambda: faiss_search(queries),
            "torch matmul + topk": lambda: (queries @ base.T).topk(K),
            "scikit-learn brute": None if q * len(base) > 1e8 else _sklearn(base, queries),
        },
        targets={FAISS: _TARGETS[q]},
        limit=lambda roof: _limit(q, len(base), roof),
        agree=lambda: _agreement(queries, base, index),
        note="an index without bfloat16 (older CPUs) has no such targets",
        gpu=lambda: _on_gpu(queries, base),
        gpu_targets={"torch matmul + topk": 0.4},
    )


def _limit(q: int, n: int, roof: Ceilings) -> float:
    """Read the bfloat16 codes once, or multiply them, whichever takes longer."""
    return max(2e-9 * n * DIM / roof.copy_gb_s, 2e-9 * q * n * DIM / roof.bf16_gflop_s)


def _faiss(base: Tensor) -> Callable | None:
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(DIM)
    index.add(base.numpy())
    return lambda queries: index.search(queries.numpy(), K)


def _sklearn(base: Tensor, queries: Tensor) -> Callable | None:
    """On unit vectors the Euclidean order is that of the inner product."""
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        return None
    search = NearestNeighbors(n_neighbors=K, algorithm="brute").fit(base.numpy())
    return lambda: search.kneighbors(queries.numpy())


def _agreement(queries: Tensor, base: Tensor, index) -> str:
    """Sets against float64 products, and how many queries needed a finer scan."""
    report: dict[str, int] = {}
    _, found = topk(queries, index, K, report=report)
    equal = 0
    for start in range(0, len(queries), 64):
        part, got = queries[start : start + 64].double(), found[start : start + 64]
        score = torch.cat([part @ rows.double().T for rows in base.split(8192)], dim=1)
        want = score.topk(K).indices.sort(dim=1).values
        equal += int((want == got.sort(dim=1).values).all(dim=1).sum())
    again = report["float32"] / len(queries)
    verdict = "yes" if equal == len(queries) else f"NO, {equal} of {len(queries)}"
    return f"{verdict}, sets equal to float64; {again:.1%} scanned twice"


def _on_gpu(queries: Tensor, base: Tensor) -> dict:
    q, x = queries.cuda(), base.cuda()
    index = build_index(x)
    return {
        "ours": lambda: topk(q, index, K),
        "torch matmul + topk": lambda: (q @ x.T).topk(K),
    }
