"""Geocells: the Earth cut into classes, so that a classifier can answer "where?".

    from geolab.cells import ISN_FINE, CombinatorialPartition, Hierarchy, MergeConfig
    from geolab.cells import MergedPartition, NaivePartition, Partition, S2Partition, scaled
    from geolab.cells import SemanticPartition, gazetteer_areas, polygon_areas, scaled_semantic

    cells = S2Partition.fit(latlon, t_min=50, t_max=1000)     # the published rule
    cells = scaled(len(latlon), like=ISN_FINE).fit(latlon)    # limits that fit a small data set
    classes = cells.assign(latlon)                            # (N,) int64, -1 outside every cell
    places = cells.points("mean")                             # or "centre"; (C, 2) degrees

    tree = Hierarchy.fit(latlon)                              # coarse, middle, fine with ancestors
    grown = MergedPartition.fit(latlon, MergeConfig(64, leaf_level=8), features)
    crossed = CombinatorialPartition.of([cells, grown], latlon)
    weight = crossed.scores([p_cells, p_grown])               # (B, C), probabilities in and out

    counties = SemanticPartition.fit(latlon, gazetteer_areas(), scaled_semantic(len(latlon)))
    boxes = NaivePartition.fit(latlon, max_size=76)
    quarters = QuadtreePartition.fit(latlon, 1000)

| class | what a geocell is |
| --- | --- |
| `S2Partition` | an S2 cell, split while it holds too many photos (PlaNet, ISNs) |
| `Hierarchy` | the same at several sizes, each nested in the next |
| `MergedPartition` | small S2 cells merged by looks and nearness (CPlaNet) |
| `CombinatorialPartition` | a tuple of classes of several partitions (CPlaNet) |
| `SemanticPartition` | counties, merged within countries and split by clusters (PIGEON) |
| `NaivePartition` | boxes of latitude and longitude, halved (PIGEON's baseline) |
| `QuadtreePartition` | boxes quartered while they hold many photos (OSV-5M) |

Every partition knows its photos' means, its centres, its counts and a `hash` of its content; it can
be saved, drawn (`geolab.maps.cell_figure`) and written as GeoJSON. `s2_cells` holds the geometry of
S2 cells for many ids at once.
"""

from geolab.cells.areas import Areas, gazetteer_areas
from geolab.cells.combinatorial import CombinatorialPartition
from geolab.cells.hierarchy import Hierarchy
from geolab.cells.merged_partition import MergedPartition
from geolab.cells.naive_partition import NaivePartition
from geolab.cells.partition import Partition
from geolab.cells.polygon_areas import polygon_areas
from geolab.cells.quadtree import QuadtreePartition
from geolab.cells.region_merge import MergeConfig
from geolab.cells.s2_partition import (
    ISN_COARSE,
    ISN_FINE,
    ISN_MIDDLE,
    PLANET,
    S2Partition,
    S2Preset,
    scaled,
)
from geolab.cells.semantic import (
    PIGEON_CELLS,
    PIGEOTTO_CELLS,
    SemanticConfig,
    SemanticPartition,
    scaled_semantic,
)

__all__ = [
    "ISN_COARSE",
    "ISN_FINE",
    "ISN_MIDDLE",
    "PIGEON_CELLS",
    "PIGEOTTO_CELLS",
    "PLANET",
    "Areas",
    "CombinatorialPartition",
    "Hierarchy",
    "MergeConfig",
    "MergedPartition",
    "NaivePartition",
    "Partition",
    "QuadtreePartition",
    "S2Partition",
    "S2Preset",
    "SemanticConfig",
    "SemanticPartition",
    "gazetteer_areas",
    "polygon_areas",
    "scaled",
    "scaled_semantic",
]
