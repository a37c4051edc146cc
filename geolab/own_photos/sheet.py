"""The contact sheet of an album: one HTML file in which a person confirms or corrects places.

Everything lies in the page: small pictures made anew from pixels (no EXIF), the proposed places,
and the 30,000 cities of at least 15,000 people to correct by. A content security policy forbids
the browser to load or send anything. What was decided is saved as a JSON file, and can be loaded
again to go on; the page itself keeps nothing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from geolab.cities import CITY_KM, City, cities_only
from geolab.data.storage import write_atomic
from geolab.own_photos.decisions import KIND, VERSION
from geolab.own_photos.order import AlbumPhoto

if TYPE_CHECKING:
    from PIL import Image

SIDE = 480
"""Longer side of the pictures on the page, in pixels."""
_SOURCES = {"exif": "EXIF", "name": "file name", "file": "file time"}


@dataclass(frozen=True)
class Entry:
    """One photo on the sheet.

    Attributes
    ----------
    photo : AlbumPhoto
    sha256 : str
        Of the file.
    picture : bytes
        A small JPEG without EXIF; empty for a photo that can't be read.
    cities : tuple of City
        Proposed places, best first.
    radius_km : float
        Around the first, holding 80 % of the answer.
    error : str
        Why it can't be read.
    jpeg : bool
        Whether a copy of it can get a position.
    """

    photo: AlbumPhoto
    sha256: str = ""
    picture: bytes = b""
    cities: tuple[City, ...] = ()
    radius_km: float = 0.0
    error: str = ""
    jpeg: bool = True

    @property
    def when(self) -> str:
        """Date, time as far as it is known, and where that comes from."""
        form = "%Y-%m-%d" if self.photo.to_the_day else "%Y-%m-%d %H:%M"
        return f"{self.photo.when.strftime(form)} ({_SOURCES[self.photo.source]})"

    @property
    def circle(self) -> str:
        """The radius, to two digits."""
        return f"{float(f'{self.radius_km:.2g}'):,.0f} km"

    @property
    def source(self) -> str:
        """The picture as an address that the page can show."""
        return "data:image/jpeg;base64," + base64.b64encode(self.picture).decode()

    @property
    def known(self) -> str:
        """City of the photo's own position; "" without one."""
        return "" if self.photo.known is None else city_text(self.photo.known)


def small_picture(image: Image.Image) -> bytes:
    """A JPEG of at most `SIDE` pixels with nothing but the picture in it."""
    from geolab.data.photos import thumbnail

    stream = io.BytesIO()
    thumbnail(image, SIDE).save(stream, "JPEG", quality=82)
    return stream.getvalue()


def sha256_of_photo(path: Path) -> tuple[str, bool]:
    """Hex sha256 of a file, and whether its bytes begin as a JPEG's."""
    with open(path, "rb") as handle:
        jpeg = handle.read(2) == b"\xff\xd8"
        handle.seek(0)
        return hashlib.file_digest(handle, "sha256").hexdigest(), jpeg


def place_text(city: City) -> str:
    """Name, region and country, without repeating one."""
    parts = dict.fromkeys(part for part in (city.name, city.region, city.country) if part)
    return ", ".join(parts)


def city_text(place: tuple[float, float]) -> str:
    """City at a position, as text."""
    from geolab.cities import cities_of
    from geolab.posterior import Posterior

    return place_text(cities_of(Posterior([[list(place)]], [[1.0]]), 1)[0])


def page_html(entries: Sequence[Entry], title: str, about: Sequence[str] = ()) -> str:
    """Page of an album as text.

    Parameters
    ----------
    entries : sequence of Entry
        In the order of the trip.
    title : str
    about : sequence of str
        Paragraphs: which references answered, how well such answers hold.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("geolab.own_photos"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["place"] = place_text
    data = {
        "kind": KIND,
        "version": VERSION,
        "cityKm": CITY_KM,
        "photos": [_for_script(i, entry) for i, entry in enumerate(entries)],
    }
    return environment.get_template("sheet.html.j2").render(
        entries=entries,
        title=title,
        about=about,
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        cities=_city_lines(),
        style=_part("sheet.css"),
        script=_part("sheet.js"),
    )


def write_page(
    entries: Sequence[Entry],
    path: str | os.PathLike[str],
    title: str,
    about: Sequence[str] = (),
) -> Path:
    """Write the page of an album, whole or not at all.

    Raises
    ------
    ValueError
        If `path` does not end in .html.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: the album is a page; give it a name that ends in .html")
    return write_atomic(path, page_html(entries, title, about))


def _for_script(number: int, entry: Entry) -> dict:
    """What the page's script has to know of a photo."""
    return {
        "number": number,
        "file": entry.photo.name,
        "sha256": entry.sha256,
        "asked": bool(entry.cities) and entry.photo.known is None,
        "choices": [
            {"place": place_text(city), "lat": city.lat, "lon": city.lon} for city in entry.cities
        ],
    }


@lru_cache(maxsize=1)
def _city_lines() -> str:
    """Cities to correct by, the largest first: name, region, country, lat, lon in hundredths."""
    known = cities_only()
    table = known.places.sort_values("population", ascending=False, kind="stable")
    lines = (
        f"{row.name}|{row.region}|{known.country_name(row.country)}|{row.lat:.2f}|{row.lon:.2f}"
        for row in table.itertuples(index=False)
    )
    return "\n".join(lines).replace("<", "")


def _part(name: str) -> str:
    return resources.files("geolab.own_photos").joinpath("templates", name).read_text("utf-8")
