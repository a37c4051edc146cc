"""The line of a results table, and rows on disk.

A row keeps what a reader needs to trust or repeat a number: which photos (name, hash, n), how many
failed and why, the seed, the parameters, the command, the time, and where the number comes from.

JSON has no infinity, and a median can be one; such figures are written as the strings "inf" and
"nan". Files are replaced in one step, so a reader never meets half a table.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geolab.intervals import Estimate

MEASURED = "measured here"


@dataclass(frozen=True)
class Row:
    """One line of a results table.

    Attributes
    ----------
    system, benchmark : str
    n : int
        Photos scored, failed ones included; 0 where a published source does not say.
    failed : int
        Photos without an answer, counted as misses.
    metrics : dict of str to Estimate
        As `geolab.metrics.summarise` names them.
    n_groups : int
        Photographers (or other groups) that the intervals resample; 0 if there are no intervals.
    source : str
        "measured here", "closed form", or the citation of a published number.
    verified : str
        For published numbers, how sure the citation is; "" for our own.
    synthetic : bool
        Whether the photos were rendered. Such rows are never shown among published ones.
    failures : dict of str to str
        Photo id to the reason why it has no answer.
    """

    system: str
    benchmark: str
    n: int
    failed: int
    metrics: dict[str, Estimate]
    benchmark_hash: str = ""
    n_groups: int = 0
    seed: int = 0
    seconds: float = math.nan
    parameters: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    source: str = MEASURED
    verified: str = ""
    synthetic: bool = False
    note: str = ""
    failures: dict[str, str] = field(default_factory=dict)


def rows_to_json(rows: Sequence[Row]) -> str:
    """Rows as JSON text.

    Raises
    ------
    TypeError
        If `parameters` holds something that JSON cannot.
    """
    plain = [_encode(asdict(row)) for row in rows]
    return json.dumps({"format": 1, "rows": plain}, indent=1, allow_nan=False, ensure_ascii=False)


def rows_from_json(text: str, name: str = "rows") -> list[Row]:
    """Rows from JSON text.

    Raises
    ------
    ValueError
        If the text is not what `rows_to_json` writes; `name` is the file to blame.
    """
    try:
        held = json.loads(text)
        if held["format"] != 1:
            raise ValueError(f"format {held['format']} is unknown")
        return [_decode(row) for row in held["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{name} is not a table of geolab ({error}); delete it and rerun"
        ) from None


def write_rows(rows: Sequence[Row], path: str | os.PathLike[str]) -> Path:
    """Write rows to a JSON file: the whole file or nothing."""
    from geolab.data.storage import write_atomic

    return write_atomic(path, rows_to_json(rows) + "\n")


def read_rows(path: str | os.PathLike[str]) -> list[Row]:
    """Read rows that `write_rows` wrote."""
    return rows_from_json(Path(path).read_text(encoding="utf-8"), name=str(path))


def _encode(value: Any) -> Any:
    """Replace what JSON lacks: floats that are not finite."""
    if isinstance(value, dict):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _decode(plain: dict[str, Any]) -> Row:
    """Inverse of `_encode` for one row."""
    metrics = {
        name: Estimate(*(float(figures[end]) for end in ("value", "low", "high")))
        for name, figures in plain["metrics"].items()
    }
    return Row(**{**plain, "metrics": metrics, "seconds": float(plain["seconds"])})
