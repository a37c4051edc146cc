"""TinyEarth: a small synthetic world to learn geolocation in, offline and at once.

    from geolab.data import tinyearth

    photos = tinyearth.load_tinyearth(n=2000)           # datasets.Dataset, cached on disk
    scene = tinyearth.Scene(64.13, -21.9, month=1)      # any place, any month
    scene.street(256); scene.panorama(256); scene.aerial(256); scene.caption()
    scene.cues()["poles"].boxes                          # where each cue is drawn
    scene.street(256, without={"poles"})                 # the same photo, that cue erased
    scene.surfaces(256)                                  # 0 ground, 1 vertical, 2 sky
    tinyearth.album(seed=3, length=20)                   # a trip, as scenes
    tinyearth.cue_table(); tinyearth.species_table()     # what decides each cue; ranges

**What is real**: names, positions and populations of places (GeoNames), the side of the road and
the main writing system of each country, the path of the sun. **What is invented**: everything
else. Climate is a sketch (`climate`); landmarks, poles, plates, facades and writing are drawn from
hashes. Numbers measured here say nothing about real photographs and are never set beside a
paper's.

**How it is sampled**: as a photo-sharing site is (`travellers`): photographers, sequences,
heavy-tailed places, landmarks seen by many, most of the Earth by nobody. About one photo in eight
shows a room, a meal, a flower or bare sky and carries no cue.

**Columns**: `id`, `image` (PNG), `latitude`, `longitude`, `heading` (degrees), `country` (ISO-2),
`region`, `sub-region`, `city` (of the nearest place), `captured_at` (ISO 8601, local solar time),
`month`, `sequence` (a trip), `photographer`, `scene` (indoor, natural, urban), `view` (street,
landmark, animal, indoor, closeup, sky), `landmark`, `species` ("" for none), `climate`,
`land_cover`, `drive_side` (1 left, 0 right), `population` (of the nearest place), and the synthetic
fields `elevation` (m), `temperature` (annual mean, C), `precipitation` (mm a year); `caption`;
`scene_seed` (with it `Scene.from_row(row)` paints the photo again).

**Repeatable**: a photo is a function of (seed, number, size) and the gazetteer's table, bit for bit
on any machine. It does not depend on the number of workers, and the first m photos of a larger
data set are the data set of m photos. Another version of the painter or the gazetteer gets a new
name in the cache.
"""

from geolab.data.tinyearth.climate import CLIMATES
from geolab.data.tinyearth.cues import CUES, Cue, cue_table
from geolab.data.tinyearth.dataset import album, build
from geolab.data.tinyearth.scene import CueSight, Scene
from geolab.data.tinyearth.sheet import contact_sheet
from geolab.data.tinyearth.species import species_here, species_table
from geolab.data.tinyearth.store import load_tinyearth

__all__ = [
    "CLIMATES",
    "CUES",
    "Cue",
    "CueSight",
    "Scene",
    "album",
    "build",
    "contact_sheet",
    "cue_table",
    "load_tinyearth",
    "species_here",
    "species_table",
]
