"""The cell map draws every cell once, in its colour."""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
import numpy as np
import pytest

from geolab import maps
from geolab.cells import MergeConfig, MergedPartition, S2Partition


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cells(photos):
    return S2Partition.fit(photos[:5000], 5, 100)


def polygons(ax):
    (drawn,) = [c for c in ax.collections if c.get_label() == "cells"]
    return drawn


def test_every_cell_is_drawn_in_the_colour_of_its_count(cells):
    ax = maps.cell_map(cells, synthetic=True)
    drawn = polygons(ax)
    assert len(drawn.get_paths()) == len(cells)
    counts = np.unique(cells.counts.numpy())
    assert np.array_equal(np.unique(drawn.get_array()), counts)
    assert (drawn.norm.vmin, drawn.norm.vmax) == (counts[0], counts[-1])
    title = ax.get_title(loc="left")
    assert f"{len(cells):,} cells" in title
    assert f"{int(cells.counts.sum()):,} photos" in title
    assert "synthetic" in title


def test_a_region_shows_its_own_cells_only(cells):
    ax = maps.cell_map(cells, maps.world(extent=(35, -10, 60, 30)), title="Europe")
    assert ax.get_title(loc="left") == "Europe"
    n = len(polygons(ax).get_paths())
    assert 0 < n < len(cells)
    pacific = S2Partition.fit([[-17, 179.9], [-17, -179.9]], 0, 1)
    ax = maps.cell_map(pacific, maps.world(extent=(-30, 160, 0, -160)), colour_bar=False)
    drawn = polygons(ax)
    assert len(drawn.get_paths()) == 2, "both sides of the antimeridian"
    left, right = sorted(path.vertices[:, 0].mean() for path in drawn.get_paths())
    assert left < 0 < right


def test_histograms_count_every_cell(cells):
    left, right = maps.cell_histograms(cells)
    assert sum(bar.get_height() for bar in left.patches) == len(cells)
    assert sum(bar.get_height() for bar in right.patches) == len(cells)
    found = {round(bar.get_x() + bar.get_width() / 2) for bar in left.patches if bar.get_height()}
    assert found == set(cells.levels.tolist())


def test_the_figure_has_all_three(cells):
    fig = maps.cell_figure(cells, title="PlaNet's cells", synthetic=True)
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles[0].replace("\n", " ") == "PlaNet's cells (synthetic TinyEarth)"
    assert {"Levels", "Sizes"} <= set(titles)
    fig.canvas.draw()


def test_classes_of_many_cells_can_be_told_apart(photos):
    grown = MergedPartition.fit(photos[:2000], MergeConfig(12, leaf_level=6, alpha=0))
    drawn = polygons(maps.cell_map(grown, colour="class"))
    assert len(drawn.get_paths()) == len(grown.leaves)
    assert len(np.unique(drawn.get_facecolor(), axis=0)) == 8
    left, right = maps.cell_histograms(grown)
    assert sum(bar.get_height() for bar in left.patches) == len(grown.leaves)
    assert sum(bar.get_height() for bar in right.patches) == 12
    with pytest.raises(ValueError, match="'level'"):
        maps.cell_map(grown, colour="level")


def test_one_cell_can_be_drawn():
    cell = S2Partition.fit([[10.0, 20.0]], 0, 1, start_level=0)
    fig = maps.cell_figure(cell)
    fig.canvas.draw()
    assert len(polygons(fig.axes[0]).get_paths()) == 1


def test_ten_thousand_cells_are_quick(photos):
    cells = S2Partition.fit(photos, 0, 8)
    assert len(cells) > 10_000
    start = time.perf_counter()
    maps.cell_map(cells).figure.canvas.draw()
    assert time.perf_counter() - start < 15, "about two seconds on a quiet machine"


def test_folium_takes_the_geojson(cells, tmp_path):
    shown = maps.interactive(cells=cells.to_geojson(), title="Cells", synthetic=True)
    page = shown.get_root().render()
    assert "synthetic" in page
    feature = cells.to_geojson()["features"][3]
    assert feature["properties"] == {
        "cell": 3,
        "count": int(cells.counts[3]),
        "level": int(cells.levels[3]),
        "value": pytest.approx(np.log1p(int(cells.counts[3]))),
        "label": f"cell 3: {int(cells.counts[3])} photos, level {int(cells.levels[3])}",
    }
    assert feature["properties"]["label"] in page


def test_geojson_is_closed_counter_clockwise_and_whole(cells):
    for feature in cells.to_geojson()["features"]:
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert (ring[0] == ring[-1]).all()
        assert np.ptp(ring[:, 0]) <= 180
        x, y = ring.T
        assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0
