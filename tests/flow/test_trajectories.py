"""The globe and its films: right way round, offline, and no bad point drawn."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from geolab import sphere
from geolab.figures.trajectories import animate, globe, trajectory_stills, view_from


@pytest.fixture(autouse=True)
def _few_triangles(monkeypatch):
    """Land from a coarse mesh: enough to see that it is drawn."""
    from geolab.maps import land

    coarse = land.land_triangles.__wrapped__(4.0)
    monkeypatch.setattr(land, "land_triangles", lambda: coarse)
    yield
    plt.close("all")


@pytest.fixture
def paths():
    start = sphere.to_unit(sphere.uniform_points(60, 0))
    end = sphere.to_unit([[60.0, 9.0]]).expand(60, 3)
    steps = [sphere.exp_map(start, g * sphere.log_map(start, end)) for g in np.linspace(0, 1, 5)]
    return np.stack([np.asarray(s) for s in steps])


def test_view_has_north_up_and_east_to_the_right():
    view = view_from((40.0, -100.0))
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    centre, north, east = (
        view @ np.asarray(sphere.to_unit([p]))[0]
        for p in ([40.0, -100.0], [45.0, -100.0], [40.0, -95.0])
    )
    np.testing.assert_allclose(centre, [0, 0, 1], atol=1e-12)
    assert north[1] > 0.05
    assert east[0] > 0.05
    with pytest.raises(ValueError, match="centre row 0"):
        view_from((95.0, 0.0))


def test_globe_and_stills_say_synthetic(paths):
    assert "synthetic" in globe(title="Globe", synthetic=True).get_title(loc="left")
    axes = trajectory_stills(paths, n_stills=3, synthetic=True)
    assert len(axes) == 3
    assert "synthetic" in axes[0].figure.get_suptitle()
    assert axes[2].get_title(loc="left") == "step 4 of 4"


def test_gif_moves_and_holds(tmp_path, paths):
    film = animate(paths, tmp_path / "film.gif", pixels=160, hold=3, synthetic=True)
    with Image.open(film) as image:
        assert image.n_frames == 5  # the repeated last frame is one long one
        first = np.asarray(image.convert("L"), int)
        image.seek(4)
        assert image.info["duration"] > 200
        last = np.asarray(image.convert("L"), int)
    assert np.abs(first - last).max() > 50
    assert not plt.get_fignums()


def test_page_loads_nothing(tmp_path, paths):
    from geolab.course.exporting import external_loads

    page = animate(paths, tmp_path / "film.html", pixels=160).read_text(encoding="utf-8")
    assert external_loads(page) == []
    assert "<link" not in page
    assert "fa fa" not in page
    assert page.count("data:image/png;base64") == 5


def test_refusals(tmp_path, paths):
    with pytest.raises(ValueError, match=r"\.gif or a \.html"):
        animate(paths, tmp_path / "film.mp4")
    with pytest.raises(ValueError, match=r"\(T, n, 3\)"):
        trajectory_stills(paths[0])
    for bad in (0.0, math.nan):
        broken = paths.copy()
        broken[2, 7] = bad
        with pytest.raises(ValueError, match="step 2, point 7"):
            animate(broken, tmp_path / "film.gif")
    assert list(tmp_path.iterdir()) == []
