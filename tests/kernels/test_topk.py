"""`geolab.kernels.topk`: every path gives the float64 answer, ties by index."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geolab.kernels import topk_index, topk_scan, topk_search
from geolab.kernels.dispatch import HAS_NUMBA
from geolab.kernels.precision import bf16_speed
from geolab.kernels.topk import build_index, topk, topk_reference
from geolab.kernels.topk_exact import exact_scores
from tests.kernels.interpreter import run_triton_cases

BACKENDS = ["torch", pytest.param("numba", marks=pytest.mark.skipif(not HAS_NUMBA, reason="numba"))]
METRICS = ["ip", "l2", "cosine"]


@pytest.fixture(autouse=True)
def _one_thread():
    """Small products on many threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def vectors(n: int, dim: int, seed: int, spread: float = 0.5) -> torch.Tensor:
    """Synthetic embeddings: clusters around a common offset, as real ones are."""
    g = torch.Generator().manual_seed(seed)
    centre = torch.randn(16, dim, generator=torch.Generator().manual_seed(7)) + 2.0
    pick = torch.randint(16, (n,), generator=g)
    return centre[pick] + spread * torch.randn(n, dim, generator=g)


def assert_exact(queries, base, k, metric, **options):
    want = topk_reference(
        queries,
        base if torch.is_tensor(base) else torch.from_numpy(np.array(base)),
        k,
        metric=metric,
    )
    index = options.pop("index", base)
    scores, indices = topk(queries, index, k, metric=metric, **options)
    assert scores.dtype == torch.float32
    assert indices.dtype == torch.int64
    assert torch.equal(indices, want[1])
    torch.testing.assert_close(scores, want[0].float(), rtol=3e-7, atol=0)


@pytest.fixture(params=[True, False], ids=["bf16", "f32"])
def coded(request, monkeypatch):
    """With and without a CPU that is fast in bfloat16, whatever the machine."""
    if request.param and bf16_speed() == 0:
        pytest.skip("this torch gets bfloat16 products wrong")
    monkeypatch.setattr(topk_search, "bf16_speed", lambda: 4.0 if request.param else 0.0)
    return torch.bfloat16 if request.param else None


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("q", "n", "dim", "k"), [(1, 3001, 65, 10), (37, 2048, 64, 1), (130, 1500, 33, 70)]
)
def test_equals_float64(q, n, dim, k, backend, metric, coded):
    queries, base = vectors(q, dim, 1), vectors(n, dim, 2)
    assert_exact(queries, base, k, metric, backend=backend)
    assert_exact(
        queries,
        base,
        k,
        metric,
        backend=backend,
        index=build_index(base, metric=metric, dtype=coded),
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_repeated_rows_keep_their_order(backend, metric, coded):
    rows = vectors(40, 48, 3)
    base = rows.repeat(30, 1)  # every row thirty times, at i, i + 40, i + 80 ...
    report = {}
    index = build_index(base, metric=metric, dtype=coded)
    _, indices = topk(rows, index, 30, metric=metric, backend=backend, report=report)
    if metric == "ip":
        assert_exact(rows, base, 45, metric, backend=backend, index=index)
    else:
        assert torch.equal(indices, torch.arange(40)[:, None] + 40 * torch.arange(30))
    assert report["queries"] == 40


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_more_ties_than_room_falls_back(backend, metric, coded):
    base = vectors(1, 40, 4).repeat(3000, 1)
    base[1717] *= -1
    report = {}
    queries = vectors(3, 40, 5)
    index = build_index(base, metric=metric, dtype=coded)
    assert topk_scan.room(5) < 2999
    _, indices = topk(queries, index, 5, backend=backend, report=report)
    assert torch.equal(indices, torch.arange(5).expand(3, 5))
    assert report["float64"] == 3
    _, every = topk(queries, index, 3000, backend=backend)
    assert torch.equal(every.sort(dim=1).values, torch.arange(3000).expand(3, -1))
    assert (every[:, -1] == 1717).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_crowded_rows_take_the_float32_path(backend):
    if bf16_speed() == 0:
        pytest.skip("this torch gets bfloat16 products wrong")
    side = torch.ones(4000, 1)
    side[::2] = -1  # two crowds, so the centre is far from both: rounding hides what is in them
    base = side * vectors(1, 64, 1) + 0.002 * torch.randn(4000, 64, generator=torch.manual_seed(2))
    index = build_index(base, dtype=torch.bfloat16)
    queries, report = vectors(6, 64, 3), {}
    assert_exact(queries, base, 10, "ip", index=index, backend=backend, report=report)
    assert report["float32"] == 6
    assert report["float64"] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_short_dtypes_are_exact_for_the_values_given(dtype, backend):
    queries, base = vectors(9, 96, 1).to(dtype), vectors(1111, 96, 2).to(dtype)
    want = topk_reference(queries, base, 7)
    for index in (base, build_index(base)):
        scores, indices = topk(queries, index, 7, backend=backend)
        assert torch.equal(indices, want[1])
        torch.testing.assert_close(scores, want[0].float(), rtol=3e-7, atol=0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_extreme_lengths(backend, metric):
    base = vectors(1300, 40, 1)
    base[5], base[6] = base[5] * 1e30, base[6] * 1e-30
    base[7:400] *= 1e-5
    base[1200] = 0
    queries = torch.cat([vectors(5, 40, 2), vectors(2, 40, 3) * 1e25, vectors(2, 40, 3) * 1e-30])
    want = topk_reference(queries, base, 60, metric=metric)
    _, indices = topk(queries, base, 60, metric=metric, backend=backend)
    score = torch.stack([exact_scores(q, base.double(), metric) for q in queries.double()])
    got = score.gather(1, indices)
    torch.testing.assert_close(got, score.gather(1, want[1]), rtol=1e-13, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_zero_vectors(backend):
    base = vectors(50, 40, 1)
    base[[3, 9]] = 0
    zero = torch.zeros(1, 40)
    for metric in ("ip", "cosine"):
        scores, indices = topk(zero, base, 50, metric=metric, backend=backend)
        assert torch.equal(indices, torch.arange(50)[None])
        assert not scores.any()
    assert topk(zero, base, 2, metric="l2", backend=backend)[1].tolist() == [[3, 9]]
    assert topk(-base[:1], base, 2, backend=backend)[1].tolist()[0][:1] == [3]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_column_one_row_all_rows(backend, metric):
    base = torch.tensor([[3.0], [-1.0], [3.0], [0.5]])
    queries = torch.tensor([[2.0], [-2.0], [3.0]])
    assert_exact(queries, base, 4, metric, backend=backend)
    assert_exact(queries, base[:1], 1, metric, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_memory(backend):
    wide = vectors(600, 128, 1)
    assert_exact(
        vectors(64, 10, 2).T[:, ::2].contiguous().T.T, wide[::3, ::4], 5, "ip", backend=backend
    )
    constant = wide[:1].expand(300, -1)  # zero stride
    _, indices = topk(wide[:2], constant, 3, backend=backend)
    assert indices.tolist() == [[0, 1, 2]] * 2
    one = wide[:1].expand(4, -1)
    assert_exact(one, wide, 5, "l2", backend=backend)
    reversed_rows = wide.numpy()[::-1]
    assert_exact(wide[:3], reversed_rows, 5, "l2", backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_memory_mapped_base_is_streamed(tmp_path, backend, dtype, monkeypatch):
    path = tmp_path / "base.npy"
    np.save(path, vectors(5000, 48, 1).numpy().astype(dtype))
    base = np.load(path, mmap_mode="r")
    monkeypatch.setattr(topk_index, "_BYTES", 1 << 16)
    longest = []

    def watch(source, rows, take=topk_index.take):
        longest.append(
            rows.stop - rows.start if isinstance(rows, slice) and rows.start is not None else 0
        )
        return take(source, rows)

    monkeypatch.setattr(topk_index, "take", watch)
    queries = vectors(20, 48, 2)
    assert_exact(queries, base, 10, "cosine", backend=backend)
    assert 0 < max(longest) <= topk_index.CHUNK  # never the whole file at once
    index = build_index(base, metric="l2")
    assert index.base is base
    assert_exact(queries, base, 10, "l2", backend=backend, index=index)


@pytest.mark.parametrize("q", [300, 700, 1024])
def test_many_queries_and_neighbours_need_no_second_scan(q):
    # Many queries make narrow blocks; with fewer groups than k no threshold was ever set.
    base = torch.randn(6000, 48, generator=torch.Generator().manual_seed(0))
    counts = {}
    _, rows = topk(base[:q] + 0.01, base, 100, metric="l2", backend="torch", report=counts)
    assert counts["float64"] == 0
    assert counts["pairs"] < 200 * q
    some = slice(0, q, q // 5)
    assert torch.equal(rows[some], topk_reference(base[:q][some] + 0.01, base, 100, metric="l2")[1])


def test_sorted_base_does_not_hide_the_best():
    base = torch.linspace(-1, 1, 9000)[:, None] * vectors(1, 64, 1)
    for backend in ("torch", "numba") if HAS_NUMBA else ("torch",):
        assert_exact(vectors(3, 64, 2), base, 20, "ip", backend=backend)


def test_low_precision_products_stay_exact():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")  # lets torch take float32 products in bfloat16
    try:
        assert_exact(vectors(64, 128, 1), vectors(3000, 128, 2), 10, "ip", backend="torch")
    finally:
        torch.set_float32_matmul_precision(before)


def test_out_is_filled():
    queries, base = vectors(5, 16, 1), vectors(40, 16, 2)
    out = (torch.empty(5, 3), torch.empty(5, 3, dtype=torch.int64))
    result = topk(queries, base, 3, out=out)
    assert result[0] is out[0]
    assert torch.equal(out[1], topk_reference(queries, base, 3)[1])
    with pytest.raises(ValueError, match="out must be"):
        topk(queries, base, 4, out=out)


def test_sums_do_not_depend_on_the_neighbours():
    rows, query = vectors(97, 513, 1).double(), vectors(1, 513, 2)[0].double()
    for metric in METRICS:
        every = exact_scores(query, rows, metric)
        alone = torch.stack([exact_scores(query, row[None], metric)[0] for row in rows])
        assert torch.equal(every, alone)


def test_bad_input_is_named():
    base, queries = vectors(2000, 8, 1), vectors(3, 8, 2)
    broken = base.clone()
    broken[1500, 3] = torch.nan
    with pytest.raises(ValueError, match="base row 1500"):
        topk(queries, broken, 1)
    for dtype in (None, "auto", torch.bfloat16):
        with pytest.raises(ValueError, match="base row 1500"):
            build_index(broken, dtype=dtype)
    with pytest.raises(ValueError, match="queries row 2"):
        topk(torch.cat([queries[:2], queries[2:] * torch.inf]), base, 1)
    for k in (0, 2001):
        with pytest.raises(ValueError, match="k must be 1 to 2000"):
            topk(queries, base, k)
    with pytest.raises(ValueError, match="at least one"):
        topk(queries, base[:0], 1)
    with pytest.raises(ValueError, match="columns"):
        topk(queries[:, :7], base, 1)
    with pytest.raises(TypeError, match="float64"):
        topk(queries.double(), base, 1)
    with pytest.raises(TypeError, match="list"):
        topk([[1.0]], base, 1)
    with pytest.raises(ValueError, match="metric"):
        topk(queries, base, 1, metric="manhattan")
    with pytest.raises(ValueError, match="built for metric='l2'"):
        topk(queries, build_index(base, metric="l2"), 1, metric="ip")
    with pytest.raises(ValueError, match="dtype must be"):
        build_index(base, dtype=torch.float16)
    with pytest.raises(ValueError, match="queries are on meta"):
        topk(queries.to("meta"), base, 1)


@pytest.mark.parametrize("metric", METRICS)
def test_reference_has_the_right_gradient(metric):
    queries, base = vectors(3, 5, 1).double(), vectors(9, 5, 2).double()
    queries.requires_grad_()
    base.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q, x: topk_reference(q, x, 4, metric=metric)[0], (queries, base)
    )


def test_bound_holds_and_is_not_vacuous():
    base, queries = vectors(1024, 256, 1), vectors(50, 256, 2)
    for metric in METRICS:
        index = topk_index.bare_index(base, metric)
        block = topk_index.encode(index, base, 0, torch.bfloat16)
        coded = topk_index.encode_queries(index, queries, torch.bfloat16)
        exact = topk_index.encode_queries(index, queries, torch.float32)
        whole = topk_index.encode(index, base, 0, torch.float32)
        true = exact.codes.double() @ whole.codes.double().T
        error = (coded.codes.double() @ block.codes.double().T - true).abs().amax(dim=1)
        bound = topk_index.error_bound(index, coded, block)
        assert (error <= bound).all()
        assert (bound < 300 * error).all()


def test_triton_under_the_interpreter(repo_root):
    run_triton_cases("topk", repo_root)
