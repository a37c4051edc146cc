"""Maps: static ones that always work, interactive ones that work offline.

- `world`, `extent_around`, `scale_bar`: the base map, of the Earth or of a region.
- `points`, `heat_map`, `error_arrows`, `votes`, `circles`, `country_error`: what is drawn on it.
- `cell_map`, `cell_histograms`, `cell_figure`: the geocells of a partition.
- `interactive`, `Pins`, `save_map`, `show_map`: folium, with thumbnails, neighbours and cells.

Outlines come from Natural Earth if ``geolab fetch natural_earth`` was run, and from the gazetteer's
places if not. Nothing here downloads anything.
"""

from geolab.maps.basemap import extent_around, scale_bar, world
from geolab.maps.cells import cell_figure, cell_histograms, cell_map
from geolab.maps.countries import country_error, country_medians
from geolab.maps.density import density_per_km2
from geolab.maps.heat import heat_map
from geolab.maps.layers import circles, error_arrows, points, votes
from geolab.maps.offline import SavedMap, save_map, show_map, static_copy
from geolab.maps.popups import thumbnail_uri
from geolab.maps.projection import Projection, split_at_meridian
from geolab.maps.webmap import Pins, interactive

__all__ = [
    "Pins",
    "Projection",
    "SavedMap",
    "cell_figure",
    "cell_histograms",
    "cell_map",
    "circles",
    "country_error",
    "country_medians",
    "density_per_km2",
    "error_arrows",
    "extent_around",
    "heat_map",
    "interactive",
    "points",
    "save_map",
    "scale_bar",
    "show_map",
    "split_at_meridian",
    "static_copy",
    "thumbnail_uri",
    "votes",
    "world",
]
