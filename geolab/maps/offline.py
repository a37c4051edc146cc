"""Interactive maps that open without a network, and what stands in where they cannot.

folium's HTML asks a content network for Leaflet, and nine other files, each time it is opened. Here
the map carries Leaflet in itself, from the hash-pinned copy that ``geolab fetch leaflet`` put in
the cache, and asks for nothing. Without that copy the same name gets a small page with the static
map, and a message says so.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import folium
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from geolab.data.manifest import cached
from geolab.data.storage import write_atomic
from geolab.figures.style import headline, png_bytes, styled
from geolab.maps.basemap import world

NO_LEAFLET = (
    "The interactive map needs a copy of Leaflet to work without a network; there is none in the "
    "cache. Run: geolab fetch leaflet. Until then here is the static map."
)


@dataclass(frozen=True)
class SavedMap:
    """What `save_map` wrote: the HTML file, whether it is interactive, and what to tell people."""

    path: Path
    interactive: bool
    message: str


def leaflet_assets() -> tuple[str, str] | None:
    """Leaflet's script and style sheet as data URIs from the cache, or None without a copy."""
    folder = cached("leaflet")
    script = sorted(folder.rglob("leaflet.js")) if folder else []
    sheet = sorted(folder.rglob("leaflet.css")) if folder else []
    if not script or not sheet:
        return None
    css = _inline_images(sheet[0].read_text(encoding="utf-8"), sheet[0].parent)
    return (
        _data_uri("text/javascript", script[0].read_bytes()),
        _data_uri("text/css", css.encode()),
    )


def _inline_images(css: str, folder: Path) -> str:
    """Replace the pictures that a style sheet names by data URIs, or by none where missing."""

    def replace(found: re.Match) -> str:
        picture = folder / found[1]
        if not picture.is_file():
            return "none"
        return f"url({_data_uri('image/png', picture.read_bytes())})"

    return re.sub(r"""url\(['"]?(images/[\w.-]+)['"]?\)""", replace, css)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def inline_assets(map_: folium.Map) -> bool:
    """Make a map carry Leaflet in itself; False, and no change, if there is no copy to carry."""
    assets = leaflet_assets()
    if assets is None:
        return False
    map_.default_js = [("leaflet", assets[0])]
    map_.default_css = [("leaflet_css", assets[1])]
    return True


def save_map(map_: folium.Map, path: str | Path, *, offline: bool = True) -> SavedMap:
    """Write a map of `geolab.maps.interactive` as one HTML file, atomically.

    Parameters
    ----------
    path : path ending in .html
    offline : bool
        The file asks the network for nothing. False leaves folium's links as they are.

    Returns
    -------
    SavedMap
        Without a copy of Leaflet, `interactive` is False, the page holds the static map, and the
        same picture lies beside it as PNG.

    Raises
    ------
    ValueError
        If `path` is not HTML, or the map has tiles, which are never offline.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"interactive maps are HTML; give a name that ends in .html, not {path}")
    if not offline:
        write_atomic(path, map_.get_root().render().encode())
        return SavedMap(path, True, f"Interactive map (needs a network): {path}")
    if any(isinstance(child, folium.TileLayer) for child in map_._children.values()):
        raise ValueError(
            "this map loads tiles from the internet; make it with tiles=None, or save it with "
            "offline=False"
        )
    if inline_assets(map_):
        write_atomic(path, map_.get_root().render().encode())
        return SavedMap(path, True, f"Interactive map: {path}")
    picture = _save_static(map_, path)
    return SavedMap(path, False, f"{NO_LEAFLET}\nStatic map: {path} and {picture}")


def show_map(map_: folium.Map) -> folium.Map | Figure:
    """Return what a notebook can show without a network: the map, or its static drawing.

    Examples
    --------
    Last line of a cell: ``show_map(interactive(posterior[0]))``.
    """
    if inline_assets(map_):
        return map_
    print(NO_LEAFLET)
    fig = static_copy(map_)
    plt.close(fig)  # the notebook shows what is returned, and would else show it twice
    return fig


@styled
def static_copy(map_: folium.Map) -> Figure:
    """Draw what an interactive map shows with matplotlib.

    Raises
    ------
    ValueError
        If the map was not made by `geolab.maps.interactive`.
    """
    layers: list[Callable] | None = getattr(map_, "geolab_static", None)
    if layers is None:
        raise ValueError("only maps of geolab.maps.interactive know their static drawing")
    ax = world()
    for draw in layers:
        draw(ax=ax)
    if map_.geolab_title:
        headline(ax, map_.geolab_title, False)
    return ax.get_figure()


def _save_static(map_: folium.Map, path: Path) -> Path:
    """Write the static drawing as PNG and a page that holds it; returns the PNG's path."""
    fig = static_copy(map_)
    picture = png_bytes(fig)
    plt.close(fig)
    page = (
        "<!doctype html><html><head><meta charset='utf-8'><title>map</title></head>"
        f"<body style='margin:1em;font-family:sans-serif'><p>{html.escape(NO_LEAFLET)}</p>"
        f"<img style='max-width:100%' alt='map' src='{_data_uri('image/png', picture)}'>"
        "</body></html>\n"
    )
    write_atomic(path.with_suffix(".png"), picture)
    write_atomic(path, page)
    return path.with_suffix(".png")
