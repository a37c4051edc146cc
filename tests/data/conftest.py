"""A web server on the loopback address that can cut, crawl and lie; and small manifests for it."""

from __future__ import annotations

import hashlib
import http.server
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml


@dataclass
class Page:
    """What the server gives for one path."""

    body: bytes
    etag: str | None = None
    cut_after: list[int] = field(default_factory=list)  # bytes sent, one entry a request
    ranges: bool = True
    seconds_per_chunk: float = 0.0
    content_type: str = "application/octet-stream"


class Server:
    """`serve` adds a page; `requests` lists (path, headers) as they came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.clock = threading.Event()  # never set: a sleep that no test can patch away
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, path: str, body: bytes, **how: object) -> str:
        """Give `body` at `path`; returns the address."""
        self.pages[path] = Page(body, **how)
        return self.url + path

    def ranges(self) -> list[str | None]:
        """The Range header of each request so far."""
        return [headers.get("Range") for _, headers in self.requests]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    owner: Server

    def do_GET(self) -> None:
        self.owner.requests.append((self.path, dict(self.headers)))
        page = self.owner.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        start = self._start(page)
        if start > len(page.body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            last, n = len(page.body) - 1, len(page.body)
            self.send_header("Content-Range", f"bytes {start}-{last}/{n}")
        if page.etag:
            self.send_header("ETag", page.etag)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body) - start))
        self.end_headers()
        rest = page.body[start:]
        if page.cut_after:
            rest = rest[: page.cut_after.pop(0)]
        for i in range(0, len(rest), 4096):
            try:
                self.wfile.write(rest[i : i + 4096])
                self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                break
            if page.seconds_per_chunk:
                self.owner.clock.wait(page.seconds_per_chunk)
        self.close_connection = True

    def _start(self, page: Page) -> int:
        wanted = self.headers.get("Range", "")
        condition = self.headers.get("If-Range")
        if not page.ranges or not wanted or (condition and condition != page.etag):
            return 0
        return int(wanted.removeprefix("bytes=").split("-")[0])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, and no mirror."""
    monkeypatch.setenv("GEOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GEOLAB_MIRROR", raising=False)
    return tmp_path / "cache"


BASE = {
    "name": "toy",
    "version": "1",
    "kind": "asset",
    "title": "A toy",
    "homepage": None,
    "paper": None,
    "licence": "CC0-1.0",
    "licence_url": None,
    "commercial_use": "yes",
    "redistribution": "yes",
    "terms_note": "Do as you please.",
    "files": [],
    "columns": {},
    "splits": {},
    "known_issues": [],
    "ethics_note": "Nobody is in it.",
    "mirrors": [],
    "checked_on": "2026-01-01",
}


@pytest.fixture
def make_manifest(tmp_path):
    """Write toy.yaml with one file, data.bin, and any other fields; return its path."""

    def make(body: bytes | None = None, url: str | None = None, entry=None, **changes) -> Path:
        files = []
        if body is not None:
            digest = hashlib.sha256(body).hexdigest()
            files = [{"path": "data.bin", "url": url, "sha256": digest, "bytes": len(body)}]
            files[0].update(entry or {})
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump({**BASE, "files": files, **changes}), encoding="utf-8")
        return path

    return make
