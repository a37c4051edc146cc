"""A folder behind a small HTTP server on this machine that answers ranges and counts what it sends.

    with serving("miniature/") as (address, sent):
        fetch_members([f"{address}/images/test/00.zip"], chosen, "photos/")
    sum(part.n_bytes for part in sent)

Made for lectures and tests, so that what travels can be seen without a network. It listens on this
machine alone and for as long as the ``with`` lasts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Sent(NamedTuple):
    """One answer: bytes `start` up to but without `stop` of a file, named from the folder."""

    name: str
    start: int
    stop: int

    @property
    def n_bytes(self) -> int:
        """Number of bytes."""
        return self.stop - self.start


@contextmanager
def serving(folder: str | PathLike) -> Iterator[tuple[str, list[Sent]]]:
    """Serve the files of a folder.

    Yields
    ------
    address : str
        Without a slash at its end.
    sent : list of Sent
        Grows with each answer that carries bytes of a file, in their order.

    Examples
    --------
    >>> with serving(".") as (address, sent):
    ...     address.startswith("http://127.0.0.1:"), sent
    (True, [])
    """
    root, sent = Path(folder).resolve(), []

    class Handler(_Ranged):
        pass

    Handler.root, Handler.sent = root, sent
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start and stop of a header ``Range``; the whole file without one, None if it can't be met.

    Examples
    --------
    >>> wanted_range(None, 50), wanted_range("bytes=10-19", 50), wanted_range("bytes=40-", 50)
    ((0, 50), (10, 20), (40, 50))
    >>> wanted_range("bytes=-5", 50), wanted_range("bytes=40-99", 50), wanted_range("bytes=50-", 50)
    ((45, 50), (40, 50), None)
    """
    if header is None:
        return 0, size
    asked = _RANGE.fullmatch(header)
    if not asked or asked.group(0) == "bytes=-":
        return None
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last) + 1, size) if first and last else size
    return (start, stop) if start < stop else None


class _Ranged(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: in two, the second waits for 40 ms
    root: Path
    sent: list[Sent]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = (self.root / unquote(self.path).lstrip("/")).resolve()
        if not (path.is_relative_to(self.root) and path.is_file()):
            self._head(404, 0)
            return
        size = path.stat().st_size
        part = wanted_range(self.headers.get("Range"), size)
        if part is None:
            self._head(416, 0, f"bytes */{size}")
            return
        start, stop = part
        ranged = f"bytes {start}-{stop - 1}/{size}" if "Range" in self.headers else ""
        self._head(206 if ranged else 200, stop - start, ranged)
        if body:
            self._send(path, start, stop)

    def _head(self, status: int, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(length))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _send(self, path: Path, start: int, stop: int) -> None:
        # Noted first: who asked has the bytes before this thread comes back from writing them.
        self.sent.append(Sent(path.relative_to(self.root).as_posix(), start, stop))
        with path.open("rb") as file:
            file.seek(start)
            self.wfile.write(file.read(stop - start))

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
