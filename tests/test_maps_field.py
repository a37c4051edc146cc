"""Fields on maps: where they are painted, and wrong shapes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from geolab.maps.field import field_grid, field_map
from geolab.maps.projection import Projection


def test_the_whole_earth_fills_the_frame():
    lat, lon = field_grid(30)
    ax = field_map(np.outer(lat, np.ones(60)), lat, lon, title="Latitude", synthetic=True)
    (mesh,) = [item for item in ax.collections if type(item).__name__ == "QuadMesh"]
    page = mesh.get_coordinates().reshape(-1, 2)
    frame = Projection().frame()
    assert np.allclose([page.min(0), page.max(0)], [frame.min(0), frame.max(0)], atol=0.05)
    assert mesh.get_clim() == (-90, 90)
    assert "synthetic" in ax.get_title(loc="left")
    plt.close(ax.figure)


def test_a_region_across_the_antimeridian_is_whole():
    extent = (-27, 166, -8, -166)
    lat, lon = field_grid(20, extent)
    assert (lon[0], lon[-1]) == (166, 194)
    ax = field_map(np.zeros((20, 40)), lat, lon, extent=extent, limits=(0, 1))
    (mesh,) = [item for item in ax.collections if type(item).__name__ == "QuadMesh"]
    x = mesh.get_coordinates()[..., 0]
    assert (np.diff(x, axis=1) > 0).all()  # no jump back over the map
    assert [x.min(), x.max()] == pytest.approx(ax.get_xlim(), abs=0.01)
    again = field_map(np.zeros((20, 40)), lat, lon - 360, extent=extent)  # the same places
    (other,) = [item for item in again.collections if type(item).__name__ == "QuadMesh"]
    assert np.allclose(other.get_coordinates()[..., 0], x)
    plt.close("all")


def test_coasts_are_drawn_over_the_field(monkeypatch):
    from types import SimpleNamespace

    from geolab.maps import land

    ring = np.array([[0.0, 0.0], [0.0, 20.0], [20.0, 20.0], [0.0, 0.0]])
    found = (SimpleNamespace(rings=(ring,)),)
    monkeypatch.setattr(land, "outlines", lambda fine=False: found)
    lat, lon = field_grid(10)
    ax = field_map(np.zeros((10, 20)), lat, lon)
    zorders = {type(item).__name__: item.get_zorder() for item in ax.collections}
    assert zorders["PolyCollection"] > zorders["QuadMesh"]
    plt.close("all")


def test_wrong_shape_is_named():
    lat, lon = field_grid(4)
    with pytest.raises(ValueError, match=r"\(8, 4\) for 4 latitudes, 8 longitudes"):
        field_map(np.zeros((8, 4)), lat, lon)
