"""A contact sheet, to see whether the synthetic world looks as it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from geolab.data.tinyearth.draws import between, pick, stream
from geolab.data.tinyearth.lens import cue_values
from geolab.data.tinyearth.scene import Scene
from geolab.data.tinyearth.spots import country_name, place_popularity, places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COUNTRIES = ("IS", "NO", "GB", "IT", "EG", "KE", "IN", "TH", "JP", "AU", "US", "AR")


def sample_scenes(country: str, n: int, seed: int = 0) -> list[Scene]:
    """Street scenes of a country at places drawn by the square root of their popularity."""
    rng, table = stream("sheet", country, seed), places()
    rows = np.flatnonzero((table["country"] == country).to_numpy())
    if not len(rows):
        raise ValueError(f"no places in a country {country!r}; give an ISO 3166 code such as 'JP'")
    weight = np.sqrt(place_popularity()[rows]).tolist()
    scenes = []
    for i in range(n):
        at = table.iloc[pick(rng, rows.tolist(), weight)]
        away = 0.01 if i % 2 else 0.12
        lat = at["lat"] + between(rng, -away, away)
        lon = at["lon"] + between(rng, -away, away)
        month, hour = 1 + int(rng.random() * 12), between(rng, 10.0, 15.0)
        scene = Scene(lat, lon, month, None, hour, seed=i, photographer=f"sheet{i}")
        scenes.append(scene.turned(between(rng, -25, 25)))
    return scenes


def _commonest(items: list[str]) -> str:
    return max(sorted(set(items)), key=items.count)


def telling_cues(scenes: Sequence[Scene]) -> str:
    """Cues that tell a row of scenes: the commonest value of each, one a line."""
    values = [cue_values(scene) for scene in scenes]
    commonest = {name: _commonest([str(value[name]) for value in values]) for name in values[0]}
    plants = _commonest([scene.spot.plant for scene in scenes])
    lines = [
        f"climate: {_commonest([scene.spot.climate for scene in scenes])}; {plants}",
        f"drives on the {commonest['drive_side']}; script: {commonest['script']}",
        f"road lines: {commonest['road_lines']}",
        f"poles: {commonest['poles']}",
    ]
    return "\n".join(lines)


def _paint_swatches(axes: Axes, scenes: Sequence[Scene]) -> None:
    """Walls above roofs, as many squares as scenes, in the colours of their regions."""
    for row, name in enumerate(("roofs", "facades")):
        for i, scene in enumerate(scenes):
            colour = str(cue_values(scene)[name])
            axes.scatter(0.03 + 0.05 * i, 0.06 + 0.12 * row, s=22, marker="s", color=colour)
        label = ("roofs", "walls")[row]
        axes.text(0.05 + 0.05 * len(scenes), 0.06 + 0.12 * row, label, fontsize=7, va="center")
    axes.set(xlim=(0, 1), ylim=(0, 1))


def contact_sheet(
    countries: Sequence[str] = COUNTRIES, n: int = 8, size: int = 128, seed: int = 0
) -> Figure:
    """Figure of n synthetic photos a country, with the cues that tell it beside each row.

    Parameters
    ----------
    countries : sequence of str
        ISO 3166 alpha-2 codes, one row each.
    n, size, seed : int
        Photos a row, pixels of each, and which photos.

    Raises
    ------
    ValueError
        If the gazetteer has no place in a country.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.25 * n + 3.4, 1.3 * len(countries) + 0.5), layout="constrained")
    figure.suptitle(f"TinyEarth: synthetic photos, {len(countries)} countries")
    grid = figure.subplots(len(countries), 2, width_ratios=(n, 2.6), squeeze=False)
    for (picture, words), country in zip(grid, countries, strict=True):
        scenes = sample_scenes(country, n, seed)
        strip = np.concatenate([np.asarray(scene.street(size)) for scene in scenes], axis=1)
        picture.imshow(strip, interpolation="nearest", aspect="equal")
        picture.set_ylabel(country_name(country), fontsize=9)
        picture.set(xticks=[], yticks=[])
        words.text(0.0, 0.66, telling_cues(scenes), fontsize=7, va="center", ha="left")
        _paint_swatches(words, scenes)
        words.set_axis_off()
    return figure
