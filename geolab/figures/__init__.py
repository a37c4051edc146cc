"""Figures of the course other than maps; all share one style and can be told to say "synthetic".

- `style`, `STYLE`, `save_figure`: the look, and files that are atomic and free of metadata.
- `photo_grid`, `neighbour_strips`: photographs.
- `accuracy_curve`, `threshold_bars`, `size_curve`, `sweep_curve`, `leave_one_out`,
  `calibration_plot`, `table_figure`: results.
- `attention_panel`, `cue_bars`: what a network looks at, and what it needs.
"""

from geolab.figures.attention import attention_panel, cue_bars
from geolab.figures.charts import (
    accuracy_curve,
    calibration_plot,
    leave_one_out,
    size_curve,
    threshold_bars,
)
from geolab.figures.photos import neighbour_strips, photo_grid, place_names
from geolab.figures.style import STYLE, save_figure, style, styled, titled
from geolab.figures.sweeps import sweep_curve
from geolab.figures.table import table_figure

__all__ = [
    "STYLE",
    "accuracy_curve",
    "attention_panel",
    "calibration_plot",
    "cue_bars",
    "leave_one_out",
    "neighbour_strips",
    "photo_grid",
    "place_names",
    "save_figure",
    "size_curve",
    "style",
    "styled",
    "sweep_curve",
    "table_figure",
    "threshold_bars",
    "titled",
]
