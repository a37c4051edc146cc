"""On which machine, with which libraries and by which command a table was made."""

from __future__ import annotations

import datetime
import json
import shlex
import sys
from pathlib import Path

from geolab.data.storage import write_atomic


def typed() -> str:
    """The command line, as it can be typed again."""
    return shlex.join(["geolab", *sys.argv[1:]])


def environment_path(beside: Path) -> Path:
    """Where the environment of a table lies: beside it, under its name.

    >>> environment_path(Path("out/rows.json")).as_posix()
    'out/rows.environment.json'
    """
    return beside.with_name(f"{beside.stem}.environment.json")


def write_environment(beside: Path, command: str) -> Path:
    """Write a JSON with command, time, versions, processor, memory and GPU; whole or not at all.

    Parameters
    ----------
    beside : Path
        File of the table; see `environment_path`.
    command : str
        As typed.

    Raises
    ------
    DiskFullError
        No room; nothing is left behind.
    """
    from geolab.environment import report

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    found = {"command": command, "written": now, **report()}
    return write_atomic(environment_path(beside), json.dumps(found, indent=1) + "\n")
