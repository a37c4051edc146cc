"""Get one file, whole and verified, from the first place that has it.

`pooch` runs the show: it downloads to a temporary name, verifies the sha256 and renames. The
downloader that it calls is `geolab.data.resuming.ResumableDownload`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pooch
import requests

from geolab.data.errors import DiskFullError, FetchError
from geolab.data.resuming import ResumableDownload


def fetch_file(
    sources: Sequence[str],
    target: str | os.PathLike,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: bool = True,
) -> str:
    """Bring one file to its final name from the first source that has it, verified.

    Parameters
    ----------
    sources
        URLs or file paths, asked in this order.
    target
        Final name. It appears only when the file is whole and its hash is right.
    sha256, size
        What the file must be; None where not known.

    Returns
    -------
    str
        The source that it came from.

    Raises
    ------
    FetchError
        No source gave the right file; the message lists each source with its reason.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for where in sources:
        try:
            _retrieve(where, target, sha256, size, progress)
            return where
        except DiskFullError:
            raise
        except FetchError as error:
            failures.append(f"{where}: {error}")
        except (requests.RequestException, OSError) as error:
            failures.append(f"{where}: {_reason(error)}")
    raise FetchError("\n".join(f"  - {failure}" for failure in failures))


def _retrieve(
    where: str, target: Path, sha256: str | None, size: int | None, progress: bool
) -> None:
    downloader = ResumableDownload(target, sha256, size, progress)
    for _ in range(2):
        downloader.resumed = False
        try:
            with _quiet_pooch():
                known = f"sha256:{sha256}" if sha256 else None
                pooch.retrieve(where, known, target.name, target.parent, downloader=downloader)
            return
        except ValueError as error:
            if isinstance(error, FetchError) or downloader.received_sha256 is None:
                raise
            # A resumed file may be two versions glued together: once more from its start.
            if not downloader.resumed:
                break
    raise FetchError(
        f"wrong file: its sha256 is {downloader.received_sha256}, expected {sha256}. It was deleted"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectionError):
        return "could not be reached"
    if isinstance(error, requests.Timeout):
        return "did not answer in time"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    # pooch announces each download on its own logger; geolab has announced it already.
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
