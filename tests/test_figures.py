"""Figures: they show the numbers they are given, and reach the disk whole and clean."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from geolab import figures
from geolab.figures.style import HIT, MISS, STYLE
from geolab.metrics import THRESHOLDS_KM, Estimate, summarise
from geolab.rows import Row


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def errors():
    rng = np.random.default_rng(0)
    good, bad = 10 ** rng.normal(2, 0.7, 300), 10 ** rng.normal(3.4, 0.2, 300)
    bad[:20] = np.inf
    return {"good": good, "bad": bad}


def _photo(width=64, height=48):
    return Image.new("RGB", (width, height), (90, 120, 150))


def _texts(fig):
    return [t.get_text() for ax in fig.axes for t in ax.texts]


def test_accuracy_curve_passes_through_the_metrics(errors):
    ax = figures.accuracy_curve(errors, synthetic=True)
    for line, (name, km) in zip(ax.lines, errors.items(), strict=False):
        assert line.get_label() == f"{name}, n = 300"
        x, y = line.get_data()
        assert y == pytest.approx([100 * (km <= t).mean() for t in x])
        assert y[-1] == pytest.approx(100 * np.isfinite(km).mean())  # failures stay in n
    marked = [line.get_xdata()[0] for line in ax.lines[len(errors) :]]
    assert marked == list(THRESHOLDS_KM)
    assert len(ax.collections) == len(errors)  # an interval for each
    assert ax.get_xscale() == "log"


def test_one_photographer_has_no_interval(errors):
    ax = figures.accuracy_curve({"good": errors["good"]}, groups=["ann"] * 300)
    assert len(ax.collections) == 0


def test_threshold_bars_show_values_and_intervals(errors):
    metrics = {name: summarise(km, n_boot=100) for name, km in errors.items()}
    ax = figures.threshold_bars(metrics)
    heights = [bar.get_height() for bar in ax.patches]
    wanted = [metrics[s][f"within_{t}"].value for s in errors for t in THRESHOLDS_KM]
    assert heights == pytest.approx(wanted)
    ends = [segment[:, 1] for c in ax.collections for segment in c.get_segments()]
    e = metrics["good"]["within_200"]
    assert any(end == pytest.approx([e.low, e.high]) for end in ends)


def test_threshold_bars_without_intervals():
    chance = {f"within_{t}": Estimate(float(i)) for i, t in enumerate(THRESHOLDS_KM)}
    ax = figures.threshold_bars({"chance": chance})
    assert len(ax.patches) == 5


def test_size_curve_is_the_mean_over_seeds():
    ax = figures.size_curve([100, 1000], {"im2gps": [[10.0, 14.0], [20.0, 30.0]]})
    assert list(ax.lines[0].get_ydata()) == [12.0, 25.0]
    assert ax.get_xscale() == "log"
    assert "2 seeds" in ax.get_legend().get_texts()[0].get_text()


def test_leave_one_out_puts_the_costliest_on_top():
    without = {"lines": Estimate(17.0), "gist": Estimate(12.0, 10.0, 13.0)}
    alone = {"lines": Estimate(3.0), "gist": Estimate(11.0)}
    ax = figures.leave_one_out(Estimate(18.0, 16.0, 20.0), without, alone)
    at = dict(zip((t.get_text() for t in ax.get_yticklabels()), ax.get_yticks(), strict=True))
    assert at["gist"] > at["lines"]
    assert sorted(bar.get_width() for bar in ax.patches)[:4] == [3.0, 4.0, 11.0, 12.0]


def test_calibration_plot_takes_one_system_or_several():
    one = {0.5: Estimate(40.0, 35.0, 45.0), 0.9: Estimate(80.0, 75.0, 85.0)}
    ax = figures.calibration_plot(one, n=100)
    assert list(ax.lines[1].get_xdata()) == [50.0, 90.0]
    assert list(ax.lines[1].get_ydata()) == [40.0, 80.0]
    several = figures.calibration_plot({"a": one, "b": one})
    assert [t.get_text() for t in several.get_legend().get_texts()] == ["a", "b"]


def test_neighbour_strip_says_hit_or_miss_without_colour():
    query = [[48.8566, 2.3522]]
    near = [[[48.8606, 2.3376], [45.76, 4.84], [np.nan, np.nan]]]
    fig = figures.neighbour_strips(
        [_photo()], [[_photo()] * 3], query, near, names=[["here", "Louvre", "Lyon", "?"]]
    )
    texts = _texts(fig)
    assert texts == ["query\nhere", "✓ 1.2 km\nLouvre", "✗ 392 km\nLyon", "?"]
    frames = [plt.matplotlib.colors.to_hex(ax.patches[0].get_edgecolor()) for ax in fig.axes[1:3]]
    assert frames == [HIT, MISS]


def test_neighbour_strip_names_places():
    fig = figures.neighbour_strips(
        [_photo()], [[_photo()]], [[48.8566, 2.3522]], [[[64.14, -21.9]]]
    )
    assert _texts(fig)[0].endswith("France")
    assert "Iceland" in _texts(fig)[1]


def test_neighbour_strip_refuses_shapes_that_disagree():
    with pytest.raises(ValueError, match=r"\(1, 2, 2\)"):
        figures.neighbour_strips([_photo()], [[_photo()] * 2], [[0, 0]], [[[0, 0]]])


def test_photo_grid_shows_missing_photos():
    fig = figures.photo_grid([_photo(), None, _photo()], ["a", "b", "c"], columns=2)
    assert len(fig.axes) == 3
    assert _texts(fig) == ["a", "no photo", "b", "c"]
    with pytest.raises(ValueError, match="1 captions for 2"):
        figures.photo_grid([_photo(), _photo()], ["a"])
    with pytest.raises(ValueError, match="at least one"):
        figures.photo_grid([])


def test_photo_grid_keeps_portraits_inside_their_cell():
    fig = figures.photo_grid([_photo(), _photo(48, 128), _photo()], ["a", "b", "c"])
    fig.canvas.draw()
    for ax in fig.axes:
        frame = ax.patches[0].get_window_extent()
        cell = ax.get_window_extent()
        assert frame.height <= cell.height + 1
        assert frame.width <= cell.width + 1


def _row(name, km, synthetic=True, failed=0):
    return Row(name, "test", len(km), failed, summarise(km, n_boot=50), synthetic=synthetic)


def test_table_figure_marks_the_best_and_the_failed(errors):
    rows = [_row("good", errors["good"]), _row("bad", errors["bad"], failed=20)]
    ax = figures.table_figure(rows, title="Results")
    assert ax.get_title(loc="left") == "Results (synthetic TinyEarth)"
    texts = {t.get_text(): t.get_fontweight() for t in ax.texts}
    assert texts[f"{rows[0].metrics['within_200'].value:.1f}"] == "bold"
    assert texts[f"{rows[1].metrics['median_km'].value:,.0f} km"] == "normal"
    assert "20 failed" in texts


def test_table_figure_never_mixes_synthetic_and_real(errors):
    with pytest.raises(ValueError, match="synthetic"):
        figures.table_figure([_row("a", errors["good"]), _row("b", errors["bad"], synthetic=False)])


def test_saved_figures_are_clean_whole_and_repeatable(tmp_path, errors):
    first = figures.save_figure(figures.accuracy_curve(errors), tmp_path / "sub" / "a.png")
    second = figures.save_figure(figures.accuracy_curve(errors), tmp_path / "sub" / "b.png")
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as picture:
        assert set(picture.info) <= {"dpi"}
        assert picture.size == (9 * 144, 5 * 144)
    assert sorted(p.name for p in first.parent.iterdir()) == ["a.png", "b.png"]
    with pytest.raises(ValueError, match=r"\.png"):
        figures.save_figure(figures.accuracy_curve(errors), tmp_path / "a.pdf")


def test_style_is_readable_and_leaves_no_trace():
    before = dict(plt.rcParams)
    with figures.style():
        assert plt.rcParams["axes.titlesize"] == 14
    assert dict(plt.rcParams) == before
    sizes = [v for k, v in STYLE.items() if k.endswith("size") and isinstance(v, int)]
    assert min(size for size in sizes if size != STYLE["lines.markersize"]) >= 10
