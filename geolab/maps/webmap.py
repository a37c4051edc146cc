"""Interactive maps: folium, in a notebook or as one HTML file, by default without any network.

    m = interactive(posterior[3], truth=truth[3], neighbours=Pins(latlon, photos, captions))
    show_map(m)                              # in a notebook
    print(save_map(m, "map.html").message)   # one file; see geolab.maps.offline

There are no tiles unless ``tiles="auto"`` asks for OpenStreetMap's. All text that comes from data
(captions, labels, titles) is escaped; photos become small JPEGs that carry no metadata. Each map
remembers how to draw itself with matplotlib, for places where no browser can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import folium
import numpy as np
from branca.element import Element
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from geolab.figures.style import HIT, INK, MARK, error_colours, titled
from geolab.maps import land
from geolab.maps.basemap import COAST, LAND, SEA, draw_rings, extent_around
from geolab.maps.heat import HEAT, heat_map
from geolab.maps.layers import TRUTH, error_arrows, points
from geolab.maps.popups import Bubble, escape, image_tag
from geolab.maps.projection import great_circle_path, split_at_meridian
from geolab.posterior import Posterior
from geolab.sphere import check_latlon

MAX_PLACES = 300
"""Places of a posterior that are drawn, the heaviest; more only slow the browser down."""


@dataclass(frozen=True)
class Pins:
    """Photos on the map: places (N, 2) in degrees, with a photo and a caption each if given."""

    latlon: np.ndarray
    photos: Sequence[Image.Image | np.ndarray | None] = ()
    captions: Sequence[str] = ()

    def __post_init__(self) -> None:
        latlon = check_latlon(np.asarray(self.latlon, float).reshape(-1, 2), "Pins.latlon")
        object.__setattr__(self, "latlon", latlon.numpy())
        for name in ("photos", "captions"):
            if len(getattr(self, name)) not in (0, len(self.latlon)):
                raise ValueError(
                    f"{len(getattr(self, name))} {name} for {len(self.latlon)} places; give one "
                    "each or none"
                )


def interactive(
    posterior: Posterior | None = None,
    *,
    truth: np.ndarray | None = None,
    neighbours: Pins | None = None,
    photos: Pins | None = None,
    cells: dict | None = None,
    errors: tuple[np.ndarray, np.ndarray] | None = None,
    tiles: str | None = None,
    title: str = "",
    synthetic: bool = False,
) -> folium.Map:
    """Map of whatever is given, each in a layer that can be switched off.

    Parameters
    ----------
    posterior : Posterior with one row, optional
        Its places as circles, larger and darker with weight.
    truth : (2,) array, optional
        With a posterior, also the great circle from its mode.
    neighbours, photos : Pins, optional
        Dots with a thumbnail and a caption behind a click.
    cells : GeoJSON FeatureCollection, optional
        Polygons; the properties ``value`` (a number, for the colour) and ``label`` are used.
    errors : (predicted, truth), arrays (N, 2), optional
        Great circles, split at the antimeridian; rows without an answer are left out.
    tiles : None or "auto"
        "auto" loads OpenStreetMap tiles, with attribution, when the map is looked at.

    Raises
    ------
    ValueError
        For other values of `tiles`, or a posterior of several rows.
    """
    if tiles not in (None, "auto"):
        raise ValueError(f"tiles must be None or 'auto', not {tiles!r}")
    if posterior is not None and len(posterior) != 1:
        raise ValueError(f"one answer at a time, not {len(posterior)}; give posterior[i]")
    map_ = folium.Map(location=(20, 0), zoom_start=2, tiles=None, world_copy_jump=False, min_zoom=1)
    map_.geolab_static, map_.geolab_title = [], titled(title, synthetic)
    _add_base(map_, tiles)
    if cells is not None:
        add_cells(map_, cells)
    if posterior is not None:
        add_posterior(map_, posterior, truth)
    if errors is not None:
        add_errors(map_, *errors)
    for name, pins, colour in (("photos", photos, HIT), ("neighbours", neighbours, MARK)):
        if pins is not None:
            add_pins(map_, pins, name=name, colour=colour)
    if truth is not None:
        _add_truth(map_, np.asarray(truth, float))
    folium.LayerControl(collapsed=False).add_to(map_)
    answer = [] if posterior is None else [np.asarray(posterior.top(1).latlon[0].cpu(), float)]
    pinned = [pins.latlon for pins in (photos, neighbours) if pins is not None]
    _fit(map_, answer + pinned + ([] if truth is None else [np.reshape(truth, (1, 2))]))
    return map_


def _add_base(map_: folium.Map, tiles: str | None) -> None:
    # Two classes, since Leaflet's own sheet comes later and would win over one.
    look = f"<style>.folium-map.leaflet-container {{ background: {SEA}; }}</style>"
    map_.get_root().header.add_child(Element(look))
    if map_.geolab_title:
        box = "position:fixed;top:8px;left:56px;z-index:999;padding:3px 9px;background:#fffd;"
        text = f'<div style="{box}font:bold 15px sans-serif">{escape(map_.geolab_title)}</div>'
        map_.get_root().html.add_child(Element(text))
    if tiles == "auto":
        folium.TileLayer("OpenStreetMap", name="OpenStreetMap").add_to(map_)
        return
    found = land.outlines()
    if found is None:
        rings = land.land_blocks()
    else:
        rings = [np.round(r[:, ::-1], 2).tolist() for outline in found for r in outline.rings]
    shape = {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
    style = {"fillColor": LAND, "fillOpacity": 1, "color": COAST if found else LAND, "weight": 0.7}
    folium.GeoJson(
        {"type": "Feature", "properties": {}, "geometry": shape}, name="land", control=False,
        style_function=lambda _: style | {"interactive": False}, smooth_factor=0.5,
    ).add_to(map_)  # fmt: skip


def add_posterior(map_: folium.Map, posterior: Posterior, truth: np.ndarray | None = None) -> None:
    """Add a layer of the heaviest places, and the line from the mode to the truth if given."""
    group = folium.FeatureGroup(name="answer").add_to(map_)
    top = posterior.top(min(MAX_PLACES, posterior.support_size))
    latlon, weight = np.asarray(top.latlon[0].cpu(), float), np.asarray(top.weight[0].cpu(), float)
    total = float(posterior.sorted().weight[0, : len(weight)].sum())
    if truth is not None:
        _line(group, great_circle_path(latlon[0], truth), INK)
    for place, w in zip(latlon[::-1], weight[::-1], strict=True):
        share = w / weight[0]
        colour = to_hex(HEAT(0.35 + 0.65 * share))
        circle = _circle(group, place, 4 + 9 * share**0.5, colour, opacity=0.75)
        Bubble(tooltip=f"{100 * w * total:.2g} %").add_to(circle)
    map_.geolab_static.append(partial(heat_map, posterior, truth=truth))


def add_pins(map_: folium.Map, pins: Pins, *, name: str, colour: str = HIT) -> None:
    """Add a layer of dots; a click shows photo and caption, escaped."""
    group = folium.FeatureGroup(name=escape(name)).add_to(map_)
    for i, place in enumerate(pins.latlon):
        caption = escape(pins.captions[i]) if len(pins.captions) else ""
        photo = pins.photos[i] if len(pins.photos) else None
        image = "" if photo is None else image_tag(photo)
        dot = _circle(group, place, 6, colour, opacity=0.9)
        Bubble(popup=image + caption, tooltip=caption).add_to(dot)
    map_.geolab_static.append(partial(points, pins.latlon, colour=colour, size=26, label=name))


def _fit(map_: folium.Map, seen: list[np.ndarray]) -> None:
    """Zoom to the places, or show the whole world if they lie around the antimeridian."""
    places = np.concatenate([np.zeros((0, 2)), *seen])
    if len(places):
        south, west, north, east = extent_around(places, min_km=600)
        if west < east:
            map_.fit_bounds([[south, west], [north, east]], max_zoom=7)


def add_cells(map_: folium.Map, cells: dict) -> None:
    """Add a layer of polygons from a GeoJSON FeatureCollection; its labels are escaped."""
    values = [f["properties"].get("value", 0.0) for f in cells["features"]]
    most = max([*values, 1e-300])
    features = []
    for feature, value in zip(cells["features"], values, strict=True):
        kept = {
            "label": escape(feature["properties"].get("label", "")),
            "fill": to_hex(HEAT(0.15 + 0.85 * value / most)),
        }
        features.append({"type": "Feature", "geometry": feature["geometry"], "properties": kept})
    folium.GeoJson(
        {"type": "FeatureCollection", "features": features}, name="cells",
        style_function=lambda f: {
            "fillColor": f["properties"]["fill"], "fillOpacity": 0.45, "color": INK, "weight": 0.6,
        },
        tooltip=folium.GeoJsonTooltip(["label"], labels=False),
    ).add_to(map_)  # fmt: skip
    map_.geolab_static.append(partial(_draw_cells, features))


def _draw_cells(features: list[dict], ax: Axes) -> None:
    for feature in features:
        shape = feature["geometry"]
        several = shape["type"] == "MultiPolygon"
        polygons = shape["coordinates"] if several else [shape["coordinates"]]
        rings = [np.asarray(polygon[0], float)[:, 1::-1] for polygon in polygons]
        draw_rings(ax, rings, zorder=2, fc=feature["properties"]["fill"], ec=INK, lw=0.5, alpha=0.5)


def add_errors(map_: folium.Map, predicted: np.ndarray, truth: np.ndarray) -> None:
    """Add great circles from truth to answer, coloured by length."""
    from geolab.metrics import errors_km

    predicted, truth = (np.asarray(p, float).reshape(-1, 2) for p in (predicted, truth))
    km = errors_km(predicted, truth)
    group = folium.FeatureGroup(name="errors").add_to(map_)
    for i in np.flatnonzero(np.isfinite(km)):
        colour = error_colours(km[i : i + 1])[0]
        _line(group, great_circle_path(truth[i], predicted[i]), colour)
        dot = _circle(group, truth[i], 4, colour, opacity=1)
        Bubble(tooltip=f"error {km[i]:,.0f} km").add_to(dot)
    map_.geolab_static.append(partial(error_arrows, predicted, truth))


def _add_truth(map_: folium.Map, truth: np.ndarray) -> None:
    group = folium.FeatureGroup(name="truth").add_to(map_)
    Bubble(tooltip="truth").add_to(_circle(group, truth, 8, TRUTH, opacity=1))
    map_.geolab_static.append(
        partial(points, truth[None], colour=TRUTH, size=240, marker="*", alpha=1, label="truth")
    )


def _circle(
    group: folium.FeatureGroup, place: np.ndarray, radius: float, colour: str, *, opacity: float
) -> folium.CircleMarker:
    where = (round(float(place[0]), 5), round(float(place[1]), 5))
    return folium.CircleMarker(
        where, radius=round(float(radius), 1), color="white", weight=1, fill=True,
        fill_color=colour, fill_opacity=opacity,
    ).add_to(group)  # fmt: skip


def _line(group: folium.FeatureGroup, path: np.ndarray, colour: str) -> None:
    for piece in split_at_meridian(path):
        places = np.round(piece, 3).tolist()
        folium.PolyLine(places, color=colour, weight=2, opacity=0.8, smooth_factor=0.3).add_to(
            group
        )
