"""The decisions that the contact sheet saves: which place a person confirmed for which photo.

A JSON file: ``{"geolab": "album decisions", "version": 1, "photos": [...]}`` with, for each photo,

- ``file`` (path inside the album's folder) and ``sha256`` of its bytes;
- ``decision``: "confirmed" (a place that was proposed), "corrected" (one given by hand) or "open";
- for the first two ``lat``, ``lon`` and ``radius_km``, or, for a name that the page did not know,
  ``place`` alone, which is looked up here among all 155,210 places.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from geolab.cities import CITY_KM
from geolab.data.errors import DataError

KIND, VERSION = "album decisions", 1


@dataclass(frozen=True)
class Decision:
    """What a person said of one photo.

    Attributes
    ----------
    file : str
        Path inside the album's folder, with ``/``.
    sha256 : str
    decision : {"confirmed", "corrected", "open"}
    lat, lon, radius_km : float
        NaN for an open one.
    """

    file: str
    sha256: str
    decision: Literal["confirmed", "corrected", "open"]
    lat: float = math.nan
    lon: float = math.nan
    radius_km: float = math.nan


def load_decisions(path: str | os.PathLike[str]) -> list[Decision]:
    """Read and check a file of decisions, all of it before anything is done.

    Raises
    ------
    DataError
        If it is no such file, or a row is wrong: its number, the value and what to do are named.
    """
    path = Path(path)
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}. Save it from the album's page.") from error
    except ValueError as error:
        raise DataError(f"{path}: no JSON ({error}). Save it from the page again.") from error
    if not isinstance(held, dict) or held.get("geolab") != KIND or held.get("version") != VERSION:
        raise DataError(f"{path}: not the decisions of an album. Save them from the album's page.")
    rows = held.get("photos")
    if not isinstance(rows, list):
        raise DataError(f"{path}: photos is {type(rows).__name__}, not a list")
    made = [_decision(row, f"{path}: photo {i}") for i, row in enumerate(rows, 1)]
    twice = {one.file for one in made if sum(one.file == other.file for other in made) > 1}
    if twice:
        raise DataError(f"{path}: {min(twice)} stands in it twice. Delete one of the two.")
    return made


def place_named(text: str) -> tuple[float, float]:
    """Place of a name such as "Lyon" or "Springfield, Illinois, United States".

    Parameters
    ----------
    text : str
        Name, then, if you like, region and country.

    Returns
    -------
    tuple of float
        `(lat, lon)` in degrees.

    Raises
    ------
    DataError
        If the gazetteer does not know it, or knows several that are far apart: they are listed.

    Examples
    --------
    >>> place_named("Lyon, France")
    (45.74846, 4.84671)
    """
    from geolab.sphere import great_circle_km
    from geolab.vlm.atlas import gazetteer_atlas, plain

    atlas, (name, *rest) = gazetteer_atlas(), [part.strip() for part in text.split(",")]
    country = atlas.country(rest[-1]) if rest else None
    rows = atlas.cities(name, country)
    regions = _regions()
    for part in rest[: len(rest) - (country is not None)]:
        rows = [row for row in rows if plain(part) in plain(regions[row])]
    if not len(rows):
        raise DataError(f"no place {text!r} in the gazetteer: give LAT,LON, or a name it knows")
    far = great_circle_km(atlas.latlon[rows], atlas.latlon[rows[0]]).numpy() > CITY_KM
    if far.any():
        shown = "; ".join(
            _shown(row) for row in [rows[0], *(r for r, f in zip(rows, far, strict=True) if f)][:4]
        )
        raise DataError(f"{text!r} may be {shown} ...: add region and country")
    lat, lon = atlas.latlon[rows[0]].tolist()
    return lat, lon


def _regions() -> list[str]:
    from geolab.data.gazetteer import load_gazetteer

    return load_gazetteer().places["region"].tolist()


def _shown(row: int) -> str:
    from geolab.data.gazetteer import load_gazetteer

    known = load_gazetteer()
    place = known.places.iloc[int(row)]
    parts = (place["name"], place["region"], known.country_name(str(place["country"])))
    return ", ".join(part for part in parts if part)


def _decision(row: Any, where: str) -> Decision:
    """One row, checked."""
    if not isinstance(row, dict) or not isinstance(row.get("file"), str):
        raise DataError(f"{where}: has no file name: {str(row)[:80]}")
    where = f"{where} ({row['file']})"
    inside = PurePosixPath(row["file"])
    if inside.is_absolute() or ".." in inside.parts or "\\" in row["file"] or not inside.parts:
        raise DataError(f"{where}: leads out of the album's folder")
    said = row.get("decision")
    if said not in ("confirmed", "corrected", "open"):
        raise DataError(f"{where}: decision {said!r} is not confirmed, corrected or open")
    if said == "open":
        return Decision(row["file"], str(row.get("sha256", "")), "open")
    if not isinstance(row.get("sha256"), str) or len(row["sha256"]) != 64:
        raise DataError(f"{where}: sha256 is missing, so nobody knows which photo was meant")
    return Decision(row["file"], row["sha256"], said, *_place(row, where))


def _place(row: Mapping[str, Any], where: str) -> tuple[float, float, float]:
    """Latitude, longitude and radius of a decided row."""
    if "lat" not in row and "lon" not in row and isinstance(row.get("place"), str):
        try:
            return (*place_named(row["place"]), CITY_KM)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    lat, lon, radius = (row.get(key) for key in ("lat", "lon", "radius_km"))
    numbers = all(type(value) in (int, float) for value in (lat, lon, radius))
    if not numbers or not (abs(lat) <= 90 and abs(lon) <= 180 and 0 < radius <= 20_038):
        raise DataError(f"{where}: lat {lat!r}, lon {lon!r}, radius_km {radius!r} is no place")
    return float(lat), float(lon), float(radius)
