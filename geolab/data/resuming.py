"""A downloader for pooch that resumes where the last connection was cut.

What has arrived is kept in a `.part` file beside the target, with a note of what the server said
about it. The next try asks for the rest (HTTP Range), on condition that the file is still the same
one (If-Range). A part is never read as if it were the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import requests

from geolab.data.errors import DiskFullError, FetchError
from geolab.data.storage import DISK_FULL, disk_full_message, format_bytes, sha256_of

CHUNK_BYTES = 1 << 14  # what a cut can lose at most
TIMEOUT_S = (10, 60)  # to connect, between two packets


class _Cut(Exception):
    """The connection ended before the file did."""


@dataclass
class ResumableDownload:
    """A pooch downloader that resumes.

    Parameters
    ----------
    target
        Final name of the file; the `.part` file lies beside it.
    sha256
        Expected hash, or None when not known yet. Without it a part file is resumed only if the
        server can prove that the file is still the same (ETag or Last-Modified).
    size
        Expected size in bytes, or None.
    attempts
        Connections made before giving up; each resumes where the last was cut.
    pause_s
        Wait before the second attempt; doubles each time.
    """

    target: Path
    sha256: str | None = None
    size: int | None = None
    progress: bool = True
    attempts: int = 3
    pause_s: float = 0.5
    resumed: bool = field(default=False, init=False)
    received_sha256: str | None = field(default=None, init=False)

    def __call__(self, where: str, output_file: str, pooch_object: object = None) -> None:
        """Bring `where` (URL or path) to `output_file`; `pooch_object` is pooch's, unused."""
        tag = hashlib.sha256(where.encode()).hexdigest()[:8]
        part = self.target.parent / f".{self.target.name}.{tag}.part"
        try:
            if is_url(where):
                self._download(where, part)
            else:
                self._copy(Path(where), part)
        except OSError as error:
            if error.errno in DISK_FULL:
                needed = self.size or _note(part).get("bytes")
                _discard(part)
                raise DiskFullError(disk_full_message(self.target, needed)) from error
            raise
        self.received_sha256 = sha256_of(part)
        os.replace(part, output_file)
        _discard(part)

    def _copy(self, source: Path, part: Path) -> None:
        n_bytes = source.stat().st_size
        self._check_offer(n_bytes, 0, str(source))
        with open(source, "rb") as reader, open(part, "wb") as writer:
            while chunk := reader.read(CHUNK_BYTES):
                _write(writer, chunk)

    def _download(self, url: str, part: Path) -> None:
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            try:
                return self._stream(url, part)
            except _Cut as cut:
                reason = cut
            except (requests.ConnectionError, requests.Timeout) as error:
                if not part.exists():  # never got through: trying again at once is no use
                    raise
                reason = error
        have = part.stat().st_size if part.exists() else 0
        raise FetchError(
            f"the connection was cut after {format_bytes(have)} ({reason}). That part is kept: "
            "fetch again and the download goes on from there"
        )

    def _stream(self, url: str, part: Path) -> None:
        have, headers = self._resume_point(part)
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as reply:
            if reply.status_code == 416:  # the part is longer than the file: start over
                _discard(part)
                raise _Cut("the server refused the range")
            reply.raise_for_status()
            if not (have and _continues(reply, have)):
                have = 0
            self.resumed = self.resumed or have > 0
            total = self._expected_total(reply, have)
            self._check_offer(total, have, url)
            _write_note(part, reply, total)
            self._receive(reply, part, have, total)
        if total is not None and part.stat().st_size != total:
            raise _Cut(f"{part.stat().st_size} of {total} bytes came")

    def _resume_point(self, part: Path) -> tuple[int, dict[str, str]]:
        # No compression on the way: byte ranges must count the file's own bytes.
        headers = {"Accept-Encoding": "identity"}
        have = part.stat().st_size if part.exists() else 0
        validator = _note(part).get("validator")
        if have and not validator and self.sha256 is None:
            _discard(part)
            have = 0
        if have:
            headers["Range"] = f"bytes={have}-"
            if validator:
                headers["If-Range"] = validator
        return have, headers

    def _expected_total(self, reply: requests.Response, have: int) -> int | None:
        length = reply.headers.get("Content-Length")
        html = reply.headers.get("Content-Type", "").startswith("text/html")
        if self.sha256 is None and html and self.target.suffix not in (".html", ".htm"):
            raise FetchError("a web page came instead of the file (a login or error page?)")
        return have + int(length) if length and length.isdigit() else None

    def _check_offer(self, total: int | None, have: int, where: str) -> None:
        if total is None:
            return
        if self.size is not None and total != self.size:
            raise FetchError(f"{where} has {total} bytes, the manifest says {self.size}")
        if total - have > shutil.disk_usage(self.target.parent).free:
            raise DiskFullError(disk_full_message(self.target, total - have))

    def _receive(self, reply: requests.Response, part: Path, have: int, total: int | None) -> None:
        with (
            open(part, "ab" if have else "wb") as writer,
            _progress_bar(self.target.name, have, total, self.progress) as bar,
        ):
            try:
                for chunk in reply.iter_content(CHUNK_BYTES):
                    _write(writer, chunk)
                    bar.update(len(chunk))
            except requests.exceptions.ChunkedEncodingError as error:
                raise _Cut("the connection broke") from error


def is_url(where: str) -> bool:
    """Whether a source is an http(s) address and not a path."""
    return re.match(r"^https?://", where) is not None


def _write(writer: BinaryIO, chunk: bytes) -> None:
    writer.write(chunk)


def _continues(reply: requests.Response, have: int) -> bool:
    return reply.status_code == 206 and reply.headers.get("Content-Range", "").startswith(
        f"bytes {have}-"
    )


def _note_path(part: Path) -> Path:
    return part.with_suffix(".part.note")


def _note(part: Path) -> dict:
    """What the server said about a part file; {} when unknown or damaged."""
    try:
        return json.loads(_note_path(part).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _write_note(part: Path, reply: requests.Response, total: int | None) -> None:
    etag = reply.headers.get("ETag", "")
    validator = reply.headers.get("Last-Modified") if etag[:2] in ("", "W/") else etag
    _note_path(part).write_text(json.dumps({"validator": validator, "bytes": total}), "utf-8")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _progress_bar(name: str, have: int, total: int | None, show: bool) -> Iterator:
    from tqdm.auto import tqdm

    with tqdm(
        total=total,
        initial=have,
        desc=name,
        unit="B",
        unit_scale=True,
        mininterval=1,
        leave=False,
        disable=not show,
    ) as bar:
        yield bar
