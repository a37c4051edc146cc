"""Your own photos without GPS: a trip's places proposed, confirmed by hand, written into copies.

    geolab locate FOLDER --album                                  # a page to confirm or correct
    geolab locate FOLDER --album --write decisions.json --out copies/

- `geolab.own_photos.order`: which photos, in which order, and how that is known;
- `geolab.own_photos.trip`: a hidden Markov chain over cities lets photos inform each other;
- `geolab.own_photos.proposals`: likeliest cities and a circle of uncertainty;
- `geolab.own_photos.sheet`: the contact sheet, one page that works offline;
- `geolab.own_photos.decisions`: what the page saves;
- `geolab.own_photos.writing`: copies with a position (`jpeg` and `exif_block` know the bytes).

For photos that are yours. Places are kept to the city, nothing is sent anywhere, and no original is
ever opened for writing.
"""

from geolab.own_photos.decisions import Decision, load_decisions
from geolab.own_photos.order import AlbumPhoto, in_order
from geolab.own_photos.proposals import proposals, radius_km
from geolab.own_photos.sheet import Entry, page_html, write_page
from geolab.own_photos.trip import Travel, Trip, smooth
from geolab.own_photos.writing import Written, write_copies

__all__ = [
    "AlbumPhoto",
    "Decision",
    "Entry",
    "Travel",
    "Trip",
    "Written",
    "in_order",
    "load_decisions",
    "page_html",
    "proposals",
    "radius_km",
    "smooth",
    "write_copies",
    "write_page",
]
