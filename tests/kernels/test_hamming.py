"""`geolab.kernels.hamming`: every path gives the true distances, ties by index."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.kernels.dispatch import HAS_NUMBA
from geolab.kernels.hamming import (
    as_words,
    hamming_topk,
    hamming_topk_reference,
    pack_bits,
    unpack_bits,
)
from tests.kernels.interpreter import run_triton_cases

BACKENDS = ["torch", pytest.param("numba", marks=pytest.mark.skipif(not HAS_NUMBA, reason="numba"))]


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products on many threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def codes(n: int, n_bytes: int, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, n_bytes), dtype=torch.uint8, generator=g)


def assert_exact(queries, base, k, backend, **options):
    want = hamming_topk_reference(queries, base, k)
    got = hamming_topk(queries, base, k, backend=backend, **options)
    assert (got[0].dtype, got[1].dtype) == (torch.int32, torch.int64)
    assert torch.equal(got[0], want[0])
    assert torch.equal(got[1], want[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n_bytes", [1, 3, 8, 32, 37, 128])
@pytest.mark.parametrize(("q", "n", "k"), [(1, 1, 1), (9, 1025, 100), (17, 3000, 7), (2, 150, 150)])
def test_equals_bit_by_bit(q, n, k, n_bytes, backend):
    assert_exact(codes(q, n_bytes, 1), codes(n, n_bytes, 2), k, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_by_index(backend):
    base = codes(7, 4, 1).repeat(700, 1)
    assert_exact(base[:7], base, 900, backend)
    same = base[:1].expand(3000, -1)  # zero stride, every row the same
    distances, indices = hamming_topk(base[:2], same, 50, backend=backend)
    assert torch.equal(indices, torch.arange(50).expand(2, -1))
    assert (distances[0] == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_ever_nearer_rows(backend):
    """Each row is nearer than the one before: the list of candidates overflows again and again."""
    bits = torch.triu(torch.ones(1024, 1024, dtype=torch.bool)).repeat_interleave(4, dim=0)
    base = pack_bits(bits)
    query = torch.zeros(1, 128, dtype=torch.uint8)
    assert_exact(query, base, 3, backend)
    assert_exact(query ^ 255, base, 3, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_layouts(backend, tmp_path):
    base, queries = codes(900, 24, 1), codes(5, 24, 2)
    want = hamming_topk_reference(queries[:, ::2], base[::3, ::2], 9)
    got = hamming_topk(queries[:, ::2], base[::3, ::2], 9, backend=backend)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    odd = base.flatten()[1:-7].view(-1, 8)  # starts at an odd address
    assert_exact(queries[:, :8], odd, 9, backend)
    np.save(tmp_path / "base.npy", base.numpy())
    mapped = np.load(tmp_path / "base.npy", mmap_mode="r")
    for array in (mapped, base.numpy()[::-1]):
        got = hamming_topk(queries.numpy(), array, 9, backend=backend)
        want = hamming_topk_reference(queries, torch.from_numpy(np.array(array)), 9)
        assert torch.equal(got[1], want[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_odd_bit_counts(backend):
    g = torch.Generator().manual_seed(0)
    bits = torch.randint(2, (500, 251), generator=g)
    packed = pack_bits(bits)
    assert packed.shape == (500, 32)
    assert torch.equal(unpack_bits(packed)[:, :251], bits.to(torch.uint8))
    distances, indices = hamming_topk(packed[:4], packed, 20, n_bits=251, backend=backend)
    want = (bits[:4, None] != bits[None]).sum(dim=-1).sort(dim=1, stable=True)
    assert torch.equal(distances.long(), want.values[:, :20])
    assert torch.equal(indices, want.indices[:, :20])


def test_paths_picked_by_size():
    base = codes(44416, 32, 1)
    assert_exact(codes(4, 32, 2), base, 100, "auto")
    assert as_words(base).nbytes == 44416 * 32  # 1.4 MB


def test_bad_input_is_named():
    base, queries = codes(40, 4, 1), codes(3, 4, 2)
    with pytest.raises(TypeError, match="queries must be packed uint8"):
        hamming_topk(queries.int(), base, 1)
    with pytest.raises(TypeError, match="base must be packed uint8"):
        hamming_topk(queries, [[1, 2, 3, 4]], 1)
    for empty in (base[:0], base[:, :0], base[0]):
        with pytest.raises(ValueError, match="at least one"):
            hamming_topk(queries, empty, 1)
    with pytest.raises(ValueError, match="3 bytes, the base has 4"):
        hamming_topk(queries[:, :3], base, 1)
    for k in (0, 41):
        with pytest.raises(ValueError, match="k must be 1 to 40"):
            hamming_topk(queries, base, k)
    base[:, -1] &= 0b11111000
    queries[:, -1] &= 0b11111000
    base[7, -1] |= 1
    with pytest.raises(ValueError, match="base row 7 has bits set past n_bits=29"):
        hamming_topk(queries, base, 1, n_bits=29)
    for n_bits in (24, 33):
        with pytest.raises(ValueError, match=f"n_bits={n_bits} needs"):
            hamming_topk(queries, base, 1, n_bits=n_bits)
    with pytest.raises(ValueError, match="queries are on meta"):
        hamming_topk(queries.to("meta"), base, 1)


def test_triton_under_the_interpreter(repo_root):
    run_triton_cases("hamming", repo_root)
