"""Figures of attention and of erased cues: they show the numbers that they are given."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from geolab import figures
from geolab.metrics import Estimate


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _photos(n=2, width=48, height=48):
    return [Image.new("RGB", (width, height), (90, 120, 150 + i)) for i in range(n)]


def _changes():
    score = [Estimate(-300.0, -420.0, -180.0), Estimate(-20.0, -60.0, 15.0), Estimate(4.0)]
    km = [Estimate(500.0, 200.0, 900.0), Estimate(30.0, -10.0, 60.0), Estimate(-3.0)]
    index = pd.Index(["vegetation", "poles", "water"], name="cue")
    return pd.DataFrame({"n": [1200, 80, 6], "score": score, "median_km": km}, index=index)


def test_panel_lays_every_map_over_its_photo():
    maps = torch.zeros(2, 4, 4)
    maps[0, 1, 2] = maps[1, 3, 0] = 0.5
    fig = figures.attention_panel(_photos(), {"rollout": maps, "gradient": maps}, synthetic=True)
    assert len(fig.axes) == 6
    assert fig.texts[0].get_text() == "Where it looks (synthetic TinyEarth)"
    assert [len(ax.images) for ax in fig.axes] == [1, 1, 2, 2, 2, 2]
    for i, place in enumerate([(1, 2), (3, 0)]):
        over = fig.axes[2 + i].images[1]
        shown = np.asarray(over.get_array())[..., 3]
        assert np.unravel_index(shown.argmax(), shown.shape) == place
        assert shown.max() == pytest.approx(0.8)  # its own maximum, however low
        assert tuple(over.get_extent()) == (-0.5, 47.5, 47.5, -0.5)
    labels = [t.get_text() for ax in fig.axes for t in ax.texts]
    assert labels == ["photo", "rollout", "gradient"]


@pytest.mark.parametrize(
    ("width", "height", "extent"),
    [(48, 32, (7.5, 39.5, 31.5, -0.5)), (32, 48, (-0.5, 31.5, 39.5, 7.5))],
)
def test_map_lies_on_the_square_middle_that_the_network_saw(width, height, extent):
    fig = figures.attention_panel(_photos(1, width, height), {"m": np.ones((1, 2, 2))})
    assert tuple(fig.axes[1].images[1].get_extent()) == extent
    assert tuple(fig.axes[1].images[0].get_extent()) == (-0.5, width - 0.5, height - 0.5, -0.5)


def test_boxes_lie_where_the_cue_is_and_each_name_has_a_colour():
    boxes = [{"poles": ((0.25, 0.5, 0.5, 1.0),)}, {"sun": ((0, 0, 0.1, 0.1), (0.5, 0, 0.6, 0.1))}]
    fig = figures.attention_panel(_photos(), {"m": np.ones((2, 2, 2))}, boxes, ["a", "b"])
    for row in (0, 1):
        first, second = fig.axes[2 * row].patches[1:], fig.axes[2 * row + 1].patches[1:]
        assert (len(first), len(second)) == (1, 2)
        assert first[0].get_bbox().bounds == pytest.approx((11.5, 23.5, 12, 24))
        assert first[0].get_edgecolor() != second[0].get_edgecolor()
    assert [t.get_text() for t in fig.legends[0].get_texts()] == ["poles", "sun"]


def test_a_map_of_zeros_shows_the_photo():
    fig = figures.attention_panel(_photos(1), {"m": np.zeros((1, 2, 2))})
    assert (np.asarray(fig.axes[1].images[1].get_array())[..., 3] == 0).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (([], {}), "at least one"),
        ((_photos(), {"m": np.ones((3, 2, 2))}), r"'m' has shape \(3, 2, 2\)"),
        ((_photos(), {"m": np.ones((2, 4))}), r"'m' has shape \(2, 4\)"),
        ((_photos(), {"m": np.full((2, 2, 2), np.nan)}), "not finite"),
        ((_photos(), {"m": -np.ones((2, 2, 2))}), "negative"),
        ((_photos(), {"m": np.ones((2, 2, 2))}, [{}]), "1 boxes for 2 photos"),
        ((_photos(), {"m": np.ones((2, 2, 2))}, None, ["a"]), "1 captions for 2 photos"),
    ],
)
def test_panel_refuses_what_does_not_fit(given, said):
    with pytest.raises(ValueError, match=said):
        figures.attention_panel(*given)


@pytest.mark.parametrize("measure", ["score", "median_km"])
def test_bars_have_the_values_the_intervals_and_the_order_of_the_table(measure):
    table = _changes()
    ax = figures.cue_bars(table, measure=measure)
    assert [bar.get_width() for bar in ax.patches] == [e.value for e in table[measure]]
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["vegetation, n = 1,200", "poles, n = 80", "water, n = 6"]
    assert ax.yaxis_inverted()
    lines = [tuple(line.get_xdata()) for line in ax.lines[:-1]]
    assert lines == [(e.low, e.high) for e in table[measure] if e.has_interval]
    sure, unsure, unknown = (bar.get_facecolor() for bar in ax.patches)
    assert sure != unsure == unknown  # one that is not known to differ from 0 is pale
    assert "synthetic" in ax.get_title(loc="left")


def test_bars_refuse_no_cue_and_no_measure():
    with pytest.raises(ValueError, match="no measure 'km'"):
        figures.cue_bars(_changes(), measure="km")
    with pytest.raises(ValueError, match="no cue"):
        figures.cue_bars(_changes().iloc[:0])
