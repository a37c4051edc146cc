"""Interactive maps: nothing escapes its quotes, nothing asks the network, nothing leaks."""

from __future__ import annotations

import base64
import io
import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from geolab import maps
from geolab.data.errors import DiskFullError
from geolab.maps import offline
from geolab.maps.popups import escape
from geolab.posterior import Posterior

HOSTILE = "<script>alert(1)</script>\"'`${alert(2)}\\`</script><img src=x onerror=alert(3)>"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def leaflet_cache(empty_cache):
    """A small stand-in for Leaflet with the real file names."""
    folder = empty_cache / "leaflet"
    folder.mkdir(parents=True)
    (folder / "leaflet.js").write_text("var L = 'stand-in';")
    (folder / "leaflet.css").write_text(
        ".a{background-image: url(images/layers.png)} .b{background: url('images/gone.png')}"
    )
    (folder / "images").mkdir()
    Image.new("RGB", (2, 2)).save(folder / "images" / "layers.png")
    return folder


def _full_map(**more):
    posterior = Posterior([[[35.7, 139.7], [-17.0, 179.8]]], [[0.7, 0.3]])
    square = [[[0, 0], [9, 0], [9, 9], [0, 0]]]
    cell = {"type": "Feature", "properties": {"value": 1.0, "label": HOSTILE},
            "geometry": {"type": "Polygon", "coordinates": square}}  # fmt: skip
    return maps.interactive(
        posterior,
        truth=np.array([40.0, -170.0]),
        neighbours=maps.Pins([[1, 1], [2, 2]], [_photo(), None], [HOSTILE, "plain"]),
        cells={"type": "FeatureCollection", "features": [cell]},
        errors=([[0.0, -170.0], [np.nan, np.nan]], [[5.0, 170.0], [1.0, 1.0]]),
        title=HOSTILE,
        **more,
    )


def _photo(size=(400, 300)):
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def _external(html: str) -> list[str]:
    """Everything that would make a browser ask the network."""
    pattern = r"""(?:src|href|action|data)\s*=\s*["']?\s*(?:https?:)?//[^\s"'>]+"""
    return re.findall(pattern, html) + re.findall(r"url\(\s*[\"']?(?:https?:)?//", html)


def test_offline_map_asks_for_nothing(leaflet_cache, tmp_path):
    saved = maps.save_map(_full_map(), tmp_path / "map.html")
    html = saved.path.read_text()
    assert saved.interactive
    assert _external(html) == []
    assert "$(" not in html  # no jQuery, which Leaflet does not bring
    script = re.search(r'src="data:text/javascript;base64,([^"]+)"', html)[1]
    assert base64.b64decode(script) == (leaflet_cache / "leaflet.js").read_bytes()
    assert html.count("L.circleMarker(") == 2 + 2 + 1 + 1  # places, neighbours, error, truth
    assert html.count("L.polyline(") == 2 + 2  # both lines cross the antimeridian
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


def test_the_check_for_external_links_can_fail(tmp_path):
    saved = maps.save_map(maps.interactive(), tmp_path / "map.html", offline=False)
    assert len(_external(saved.path.read_text())) >= 2


def test_style_sheet_carries_its_pictures(leaflet_cache):
    css = base64.b64decode(offline.leaflet_assets()[1].split(",")[1]).decode()
    assert css.count("url(data:image/png;base64,") == 1
    assert "images/" not in css


def test_hostile_text_stays_text(leaflet_cache, tmp_path):
    html = maps.save_map(_full_map(), tmp_path / "map.html").path.read_text()
    for markup in ("<script>alert", "<img src=x", "${alert", "</script><img"):
        assert markup not in html
    popup = re.search(r"\.bindPopup\((\"(?:[^\"\\]|\\.)*\"), ", html)[1]
    assert json.loads(popup).endswith(escape(HOSTILE))
    # The label passes through folium's own template, where it must still be inert.
    assert html.count(json.dumps(escape(HOSTILE))[1:-1].replace("&", "\\u0026")) >= 2


@pytest.mark.parametrize("char", list("<>\"'`${\\"))
def test_escape_leaves_no_active_character(char):
    assert char not in escape(f"a{char}b").replace("&", "")
    assert escape("Zürich & Łódź") == "Zürich &amp; Łódź"


def test_thumbnail_is_small_and_bare():
    exif = Image.Exif()
    exif[0x010E] = "a secret description"
    exif[0x8825] = {1: "N", 2: (46.0, 3.0, 0.0)}
    buffer = io.BytesIO()
    _photo().save(buffer, "JPEG", exif=exif, comment=b"a secret comment")
    photo = Image.open(buffer)
    assert photo.getexif()
    raw = base64.b64decode(maps.thumbnail_uri(photo).split(",")[1])
    small = Image.open(io.BytesIO(raw))
    assert small.size == (160, 120)
    assert not small.getexif()
    assert "comment" not in small.info
    assert b"secret" not in raw
    assert b"Exif" not in raw


def test_thumbnail_takes_arrays_and_never_enlarges():
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    raw = base64.b64decode(maps.thumbnail_uri(pixels).split(",")[1])
    assert Image.open(io.BytesIO(raw)).size == (30, 20)


def test_without_a_copy_the_static_map_is_written(empty_cache, tmp_path):
    saved = maps.save_map(_full_map(), tmp_path / "map.html")
    assert not saved.interactive
    assert "geolab fetch leaflet" in saved.message
    page = saved.path.read_text()
    assert "geolab fetch leaflet" in page
    assert _external(page) == []
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_notebooks_get_what_they_can_show(empty_cache, leaflet_cache, capsys):
    assert "data:text/javascript" in maps.show_map(maps.interactive()).get_root().render()
    (leaflet_cache / "leaflet.js").unlink()
    assert isinstance(maps.show_map(maps.interactive(title="A title")), plt.Figure)
    assert "geolab fetch leaflet" in capsys.readouterr().out


def test_tiles_only_when_asked_and_never_offline(leaflet_cache, tmp_path):
    assert "tile.openstreetmap" not in _full_map().get_root().render()
    with_tiles = maps.interactive(tiles="auto")
    html = with_tiles.get_root().render()
    assert "openstreetmap" in html
    assert "contributors" in html  # the attribution that the tiles ask for
    with pytest.raises(ValueError, match="tiles"):
        maps.save_map(with_tiles, tmp_path / "map.html")
    with pytest.raises(ValueError, match="auto"):
        maps.interactive(tiles="satellite")


def test_full_disk_leaves_the_old_map(leaflet_cache, tmp_path, monkeypatch):
    target = tmp_path / "map.html"
    target.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geolab.data.storage.os.replace", full)
    with pytest.raises(DiskFullError, match=r"map\.html"):
        maps.save_map(maps.interactive(), target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["map.html"]


def test_wrong_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match="2 captions for 1 places"):
        maps.Pins([[0, 0]], captions=["a", "b"])
    with pytest.raises(ValueError, match="row 1"):
        maps.Pins([[0, 0], [91, 0]])
    with pytest.raises(ValueError, match=r"\.html"):
        maps.save_map(maps.interactive(), tmp_path / "map.png")
    two = Posterior([[[0.0, 0.0]], [[1.0, 1.0]]], [[1.0], [1.0]])
    with pytest.raises(ValueError, match=r"posterior\[i\]"):
        maps.interactive(two)


def test_zoom_goes_to_the_places_but_not_across_the_antimeridian(empty_cache):
    here = maps.interactive(photos=maps.Pins([[48.8, 2.3]])).get_root().render()
    across = maps.interactive(photos=maps.Pins([[-17, 179], [-18, -179]])).get_root().render()
    assert "fitBounds" in here
    assert "fitBounds" not in across
