r"""Exact search for the k nearest embeddings, at the speed of an inexact one.

For queries q and base rows x the score is

.. math:: q\cdot x\ \ (\mathrm{ip}),\qquad \frac{q\cdot x}{|q||x|}\ \ (\mathrm{cosine}),
    \qquad |q-x|^2\ \ (\mathrm{l2}),

taken in float64 over the values given, whatever their dtype, and returned in float32; the k best
come first (largest for ip and cosine, smallest for l2), ties by the smaller index. A zero vector
has cosine 0 with everything.

How it is fast and exact:

1. *Scan.* Coarse scores of all rows, from bfloat16 copies where the CPU multiplies those fast
   (2 Q N D operations at four times the float32 rate; 2 N D bytes, half of float32's).
2. *Bound.* Every row that can't be ruled out by a proven bound on the coarse error is kept
   (`geolab.kernels.topk_index` has the bound, `geolab.kernels.topk_scan` the selection).
3. *Score again.* The few rows left are scored in float64 from the original vectors and sorted.

A query with more candidates than there is room for (many rows within the bound: crowded or
repeated vectors) is scanned again with float32 scores, and if that fails too it is compared with
every row in float64. The answer is the same on every path, up to the rounding of float64 sums;
only the time differs.

Limit for N = 1e5, D = 512 on a CPU with 40 GB/s and 850 GFLOP/s in bfloat16: one query reads
102 MB (2.6 ms); 1000 queries take 1.0e11 operations (120 ms). On a GPU with 3 TB/s, N = 1e6:
0.34 ms a pass, product-bound above about 270 queries.

References: J. Johnson, M. Douze, H. Jegou, "Billion-scale similarity search with GPUs" (2019),
section 4, for selection in blocks; N. Higham, "Accuracy and Stability of Numerical Algorithms"
(2002), section 3.1, for bounds on sums of products.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geolab.kernels.dispatch import choose
from geolab.kernels.precision import bf16_speed
from geolab.kernels.topk_exact import check_rows, finite, take, topk_reference
from geolab.kernels.topk_index import Index, bare_index, check_base, with_codes
from geolab.kernels.topk_scan import room
from geolab.kernels.topk_search import GAIN, WIDE, search

__all__ = ["Index", "build_index", "topk", "topk_reference"]

_SMALL = 1 << 32  # products below which compiling (seconds) costs more than it gives,
_SMALL_INDEXED = 1 << 24  # and the same for a base that is indexed to be searched often


def build_index(
    base: Tensor | np.ndarray, *, metric: str = "ip", dtype: torch.dtype | str | None = "auto"
) -> Index:
    """Prepare a base for many searches.

    Parameters
    ----------
    base : Tensor or ndarray, shape (N, D)
        float32, float16 or bfloat16. A memory-mapped array is read once, in blocks, and stays on
        disk. The index refers to it: don't change it afterwards.
    metric : str
        ``"ip"`` (inner product), ``"l2"`` or ``"cosine"``.
    dtype : torch.dtype, "auto" or None
        Of the coarse copy: N D 2 bytes of memory. ``"auto"`` makes one if this CPU is fast in
        bfloat16, and on GPUs; None makes none.

    Returns
    -------
    Index
        For `topk`.

    Raises
    ------
    ValueError
        For an unknown metric, an empty base, NaN or infinity (the row is named).
    TypeError
        For another dtype.
    """
    index = bare_index(base, metric)
    dtype = _code_dtype(dtype, index)
    return check_base(index) if dtype is None else with_codes(index, dtype)


def topk(
    queries: Tensor | np.ndarray,
    base: Tensor | np.ndarray | Index,
    k: int,
    *,
    metric: str | None = None,
    out: tuple[Tensor, Tensor] | None = None,
    backend: str = "auto",
    report: dict[str, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Exact k best rows of `base` for each query; the definition is in the module docstring.

    Parameters
    ----------
    queries : Tensor or ndarray, shape (Q, D)
        float32, float16 or bfloat16, on the device of the base.
    base : Tensor, ndarray or Index, shape (N, D)
        An `Index` saves the preparation. A memory-mapped array may be larger than memory: it is
        streamed in blocks of 4 MB, once for each 1024 queries.
    k : int
        1 to N.
    metric : str, optional
        ``"ip"`` (default), ``"l2"`` or ``"cosine"``; an `Index` has its own.
    out : (Tensor, Tensor), optional
        (Q, k) float32 and (Q, k) int64, filled and returned.
    backend : str
        See `geolab.kernels.dispatch`.
    report : dict, optional
        Counts are added to it: ``queries``, ``pairs`` (scored in float64), ``float32`` and
        ``float64`` (queries that needed the second and the third path).

    Returns
    -------
    scores : Tensor, (Q, k) float32
        Best first; squared distances for ``"l2"``.
    indices : Tensor, (Q, k) int64

    Raises
    ------
    ValueError
        For shapes, devices or a metric that don't fit, k outside 1..N, NaN or infinity (the row
        is named).
    TypeError
        For another dtype.

    Examples
    --------
    >>> base = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> topk(torch.tensor([[2.0, 1.0]]), base, 2)
    (tensor([[2., 2.]]), tensor([[0, 2]]))
    """
    index = base if isinstance(base, Index) else bare_index(base, metric or "ip")
    if metric not in (None, index.metric):
        raise ValueError(f"this index was built for metric={index.metric!r}, not {metric!r}")
    queries = _check(queries, index, k)
    scores, indices = _outputs(out, len(queries), k, index.device)
    work = len(queries) * index.shape[0] * index.shape[1]
    small = work < (_SMALL if index.codes is None else _SMALL_INDEXED)
    path = choose(backend, index.centre, numba=backend != "auto" or not small)
    counts = {"queries": len(queries), "pairs": 0, "float32": 0, "float64": 0}
    step = max(1, min(1024, (1 << 22) // room(k)))
    for start in range(0, len(queries), step):
        tile = slice(start, start + step)
        scores[tile], indices[tile] = search(index, queries[tile], k, path, counts)
    if report is not None:
        report.update({name: report.get(name, 0) + count for name, count in counts.items()})
    return scores, indices


def _code_dtype(dtype: torch.dtype | str | None, index: Index) -> torch.dtype | None:
    if index.device.type == "cuda":
        new = torch.cuda.get_device_capability(index.device) >= (8, 0)  # a T4 has no bfloat16
        usual, known = torch.bfloat16 if new else torch.float16, (torch.bfloat16, torch.float16)
    else:
        pays = index.shape[1] >= WIDE and bf16_speed() > GAIN
        usual, known = torch.bfloat16 if pays else None, (torch.bfloat16,)
    dtype = usual if dtype == "auto" else dtype
    if dtype not in (None, *known):
        raise ValueError(f"dtype must be 'auto', None or one of {known} here, not {dtype!r}")
    return dtype


def _check(queries: Tensor | np.ndarray, index: Index, k: int) -> Tensor:
    check_rows(queries, "queries")
    queries = take(queries, slice(None)).detach()
    n, dim = index.shape
    if queries.shape[1] != dim:
        raise ValueError(f"queries have {queries.shape[1]} columns, the base has {dim}")
    if queries.device != index.device:
        raise ValueError(f"queries are on {queries.device}, the base on {index.device}; move one")
    if not 1 <= k <= n:
        raise ValueError(f"k must be 1 to {n} (the rows of the base), not {k}")
    return finite(queries, "queries").contiguous()


def _outputs(out: tuple | None, n: int, k: int, device: torch.device) -> tuple[Tensor, Tensor]:
    dtypes = (torch.float32, torch.int64)
    if out is None:
        return tuple(torch.empty(n, k, dtype=dtype, device=device) for dtype in dtypes)
    for tensor, dtype in zip(out, dtypes, strict=True):
        if tensor.shape != (n, k) or tensor.dtype != dtype or tensor.device != device:
            raise ValueError(
                f"out must be ({n}, {k}) tensors of float32 and int64 on {device}, "
                f"not {tuple(tensor.shape)} of {tensor.dtype} on {tensor.device}"
            )
    return out
