"""Cases of `geolab.kernels.hamming`: 100 nearest of 44,416 codes, as in cross-view hashing.

The codes are synthetic: 300 random centres, each bit flipped with probability 0.15. Packed, 44,416
codes of 256 bits are 1.4 MB.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from geolab.bench.harness import Case
from geolab.bench.measure import Ceilings
from geolab.kernels.hamming import hamming_topk, unpack_bits

N, K = 44_416, 100
FAISS, NUMPY = "faiss IndexBinaryFlat", "numpy bitwise_count + argpartition"


def codes(n: int, n_bits: int, seed: int) -> np.ndarray:
    """Synthetic packed codes (n, n_bits / 8) uint8 in 300 clusters."""
    centre = np.random.default_rng(99).integers(0, 2, (300, n_bits), dtype=np.uint8)
    rng = np.random.default_rng(seed)
    bits = centre[rng.integers(0, 300, n)] ^ (rng.random((n, n_bits)) < 0.15)
    return np.packbits(bits, axis=1)


def cases(big: bool) -> list[Case]:
    """1000 queries at 256 bits; ``--big`` adds one query and 1024 bits."""
    made = [_case(1000, 256, with_targets=True)]
    return [*made, _case(1, 256), _case(1000, 1024)] if big else made


def _case(q: int, n_bits: int, *, with_targets: bool = False) -> Case:
    base, queries = codes(N, n_bits, 1), codes(q, n_bits, 2)
    return Case(
        kernel="hamming",
        name=f"{n_bits} bits",
        size=f"{q} x {N}, k {K}; codes {base.nbytes / 1e6:.1f} MB",
        ours=lambda: hamming_topk(queries, base, K),
        peers={
            FAISS: _faiss(base, queries),
            NUMPY: _numpy(base, queries),
            "torch +-1 product + topk": _product(base, queries),
        },
        targets={NUMPY: 0.10, FAISS: 1.0} if with_targets else {},
        limit=lambda roof: _limit(base, roof),
        agree=lambda: _agreement(base, queries),
        note="without numba the plain torch path takes about as long as the +-1 product",
        gpu=lambda: _on_gpu(base, queries),
    )


def _limit(base: np.ndarray, roof: Ceilings) -> float:
    """Reading the codes once; the count of bits has no ceiling that is measured here."""
    return base.nbytes / roof.copy_gb_s / 1e9


def _faiss(base: np.ndarray, queries: np.ndarray) -> Callable | None:
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexBinaryFlat(8 * base.shape[1])
    index.add(base)
    return lambda: index.search(queries, K)


def _numpy(base: np.ndarray, queries: np.ndarray) -> Callable | None:
    if not hasattr(np, "bitwise_count"):  # numpy 1
        return None
    words = base.view(np.uint64)

    def search() -> tuple[np.ndarray, np.ndarray]:
        found = []
        for part in np.array_split(queries.view(np.uint64), max(1, len(queries) // 16)):
            differ = part[:, None] ^ words  # (q, N, W)
            distance = np.bitwise_count(differ).sum(axis=-1, dtype=np.int32)
            index = np.argpartition(distance, K, axis=1)[:, :K]
            found.append((np.take_along_axis(distance, index, axis=1), index))
        return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))

    return search


def _product(base: np.ndarray, queries: np.ndarray) -> Callable:
    a, b = (2.0 * unpack_bits(torch.from_numpy(x)).float() - 1 for x in (queries, base))
    return lambda: (a @ b.T).topk(K)


def _agreement(base: np.ndarray, queries: np.ndarray) -> str:
    """Distances against those of a full sort of every pair."""
    distance, index = hamming_topk(queries, base, K)
    for row, query in enumerate(queries[:20]):
        every = np.unpackbits(query ^ base, axis=1).sum(axis=1, dtype=np.int32)
        order = np.argsort(every, kind="stable")[:K]
        if not (np.array_equal(order, index[row]) and np.array_equal(every[order], distance[row])):
            return f"NO, query {row} differs"
    return "yes, 20 queries equal to a full sort, ties included"


def _on_gpu(base: np.ndarray, queries: np.ndarray) -> dict:
    q, x = torch.from_numpy(queries).cuda(), torch.from_numpy(base).cuda()
    a, b = (2.0 * unpack_bits(codes).half() - 1 for codes in (q, x))
    return {
        "ours": lambda: hamming_topk(q, x, K),
        "torch +-1 product + topk": lambda: (a @ b.T).topk(K),
    }
