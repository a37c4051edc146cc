"""``geolab bench``: every kernel beside the libraries that people use instead, in one process.

Each file here but the first three holds the cases of one kernel, as a function
``cases(big: bool) -> list[Case]``. `harness` has `Case` and the timing, `measure` the clocks, the
memory and the ceilings of the machine, `report` the table and the record.

>>> from geolab.bench import run
>>> run(["haversine"])  # doctest: +SKIP
"""

from geolab.bench.harness import MODULES, Case, run
from geolab.bench.measure import Ceilings

__all__ = ["MODULES", "Case", "Ceilings", "run"]
