"""Which large arrays a call makes: how the checks see a matrix that was not to be there.

    result, made = large_arrays(lambda: blocked_loss(...), numbers=rows * n_cells, given=[logits])

Torch tensors are seen one by one, by every route. Of numpy only the highest sum is known, together
with Python's own objects; so a megabyte is passed over.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PYTHON = 1 << 20  # bytes that Python's objects may take


@dataclass(frozen=True)
class Large:
    """One array.

    Attributes
    ----------
    shape : tuple of int
        As it was first seen.
    dtype : str
        Such as "float64".
    n_bytes : int
    """

    shape: tuple[int, ...]
    dtype: str
    n_bytes: int

    def __str__(self) -> str:
        size = " x ".join(f"{n:,}" for n in self.shape)
        return f"{size} {self.dtype} ({self.n_bytes / 1e6:.1f} MB)"


class _Watch(TorchDispatchMode):
    """Remembers each new storage of more than `numbers` elements."""

    def __init__(self, numbers: int, given: Sequence[Tensor]) -> None:
        super().__init__()
        self.numbers, self.found = numbers, {}
        self.known = {tensor.untyped_storage().data_ptr() for tensor in given}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._look(tensor)
        return result

    def _look(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        if storage.nbytes() > self.numbers * tensor.itemsize and address not in self.known:
            self.known.add(address)
            name = str(tensor.dtype).removeprefix("torch.")
            large = Large(tuple(tensor.shape), name, storage.nbytes())
            self.found[address] = large, storage  # held, so that no other gets its address


def large_arrays(
    call: Callable[[], Any], numbers: int, given: Sequence[Tensor] = ()
) -> tuple[Any, list[Large]]:
    """Call a function and list the arrays of more than `numbers` elements that it makes.

    Parameters
    ----------
    call : function without arguments
        Called twice, and watched the second time.
    numbers : int
        Size from which an array counts, in elements.
    given : sequence of Tensor
        Inputs; views of them don't count.

    Returns
    -------
    result : what the function returned
    made : list of Large
        Tensors, largest first; and one entry "numpy" if at one moment numpy held more than
        `numbers` float64 and a megabyte.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(100, 1)
    >>> [str(each) for each in large_arrays(lambda: x @ x.T, 5000, [x])[1]]
    ['100 x 100 float32 (0.0 MB)']
    """
    with _Watch(numbers, given):
        call()  # once for nothing: what is imported on the way would count as numpy's
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        with _Watch(numbers, given) as watch:
            result = call()
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()
    made = [large for large, _ in watch.found.values()]
    if grown > 8 * numbers + _PYTHON:
        made.append(Large((grown // 8,), "numpy", grown))
    return result, sorted(made, key=lambda large: -large.n_bytes)
