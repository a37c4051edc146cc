"""Geocells: the Earth cut into classes, so that a classifier can answer "where?".

    from geolab.cells import ISN_FINE, CombinatorialPartition, Hierarchy, MergeConfig
    from geolab.cells import MergedPartition, Partition, S2Partition, scaled

    cells = S2Partition.fit(latlon, t_min=50, t_max=1000)     # the published rule
    cells = scaled(len(latlon), like=ISN_FINE).fit(latlon)    # limits that fit a small data set
    classes = cells.assign(latlon)                            # (N,) int64, -1 outside every cell
    places = cells.points("mean")                             # or "centre"; (C, 2) degrees

    tree = Hierarchy.fit(latlon)                              # coarse, middle, fine with ancestors
    grown = MergedPartition.fit(latlon, MergeConfig(64, leaf_level=8), features)
    crossed = CombinatorialPartition.of([cells, grown], latlon)
    weight = crossed.scores([p_cells, p_grown])               # (B, C), probabilities in and out

| class | what a geocell is |
| --- | --- |
| `S2Partition` | an S2 cell, split while it holds too many photos (PlaNet, ISNs) |
| `Hierarchy` | the same at several sizes, each nested in the next |
| `MergedPartition` | small S2 cells merged by looks and nearness (CPlaNet) |
| `CombinatorialPartition` | a tuple of classes of several partitions (CPlaNet) |

Every partition knows its photos' means, its centres, its counts and a `hash` of its content; it can
be saved, drawn (`geolab.maps.cell_figure`) and written as GeoJSON. `s2_cells` holds the geometry of
S2 cells for many ids at once.
"""

from geolab.cells.combinatorial import CombinatorialPartition
from geolab.cells.hierarchy import Hierarchy
from geolab.cells.merged_partition import MergedPartition
from geolab.cells.partition import Partition
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

__all__ = [
    "ISN_COARSE",
    "ISN_FINE",
    "ISN_MIDDLE",
    "PLANET",
    "CombinatorialPartition",
    "Hierarchy",
    "MergeConfig",
    "MergedPartition",
    "Partition",
    "S2Partition",
    "S2Preset",
    "scaled",
]
