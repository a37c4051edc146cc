"""`geolab locate FOLDER --album`, from a folder of photos to copies with confirmed places."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re

import pytest
from typer.testing import CliRunner

from geolab.cli import app
from geolab.data.photos import read_gps
from geolab.locate_command import References

from .conftest import LYON, Recognises


@pytest.fixture(autouse=True)
def _no_training(monkeypatch):
    said = References("mine.csv", 3, synthetic=False)
    monkeypatch.setattr(
        "geolab.own_photos.command.fit_references", lambda *_, **__: (Recognises(), said)
    )


def run(*words):
    return CliRunner().invoke(app, ["locate", *map(str, words)])


def decisions(album, tmp_path, said="confirmed"):
    rows = [
        {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "decision": said if path.name == "c.jpg" else "open",
            **({"lat": LYON[0], "lon": LYON[1], "radius_km": 25} if path.name == "c.jpg" else {}),
        }
        for path in sorted(album.iterdir())
    ]
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps({"geolab": "album decisions", "version": 1, "photos": rows}))
    return path


def test_the_page_and_what_is_printed(album, tmp_path):
    said = run(album, "--album", "--out", tmp_path / "sheet.html")
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["b.jpg", "c.jpg", "a.jpg"]
    assert "2019-07-14 12:00 (EXIF)" in lines[1]
    assert "Lyon" in lines[1]
    assert "Reference set: mine.csv, 3 real photos." in said.output
    assert "yours to locate" in said.output
    assert "--write decisions.json" in said.output
    assert not re.search(r"\d\.\d\d", said.output.partition("Reference")[0])  # no coordinate
    assert (tmp_path / "sheet.html").exists()


def test_copies_are_written_only_for_what_was_confirmed(album, tmp_path):
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in album.iterdir()}
    path, copies = decisions(album, tmp_path), tmp_path / "copies"
    said = run(album, "--album", "--write", path, "--out", copies)
    assert said.exit_code == 0, said.output
    assert "1 copies written, 0 not, 2 left open." in said.output
    assert [copy.name for copy in copies.iterdir()] == ["c.jpg"]
    assert read_gps(copies / "c.jpg") == pytest.approx(LYON, abs=1e-7)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in album.iterdir()} == before
    again = run(album, "--album", "--write", path, "--out", copies)
    assert again.exit_code == 2
    assert "exists already" in again.output
    assert "0 copies written, 1 not" in again.output


def test_photos_that_cannot_be_written_are_named_and_the_others_are(album, tmp_path):
    bad = {
        "heic.jpg": (b"\0\0\0\x18ftypheic" + bytes(64), "a HEIC photo"),
        "cut.jpg": ((album / "a.jpg").read_bytes()[:-200], "cut short or damaged"),
        "text.jpg": (b"shopping list", "no JPEG"),
    }
    for name, (data, _) in bad.items():
        (album / name).write_bytes(data)
    for path in album.iterdir():
        path.chmod(0o400)
    before = {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_mode) for p in album.iterdir()
    }
    path = decisions(album, tmp_path)
    rows = json.loads(path.read_text())
    where = {"decision": "confirmed", "lat": LYON[0], "lon": LYON[1], "radius_km": 25}
    rows["photos"] = [row | where for row in rows["photos"]]
    path.write_text(json.dumps(rows))
    said = run(album, "--album", "--write", path, "--out", tmp_path / "copies")
    assert said.exit_code == 2
    assert "3 copies written, 3 not, 0 left open." in said.output
    words = " ".join(said.output.split())
    for name, (_, reason) in bad.items():
        assert f"{album / name}: {reason}" in words
    assert sorted(p.name for p in (tmp_path / "copies").iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]
    after = {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns, p.stat().st_mode) for p in album.iterdir()
    }
    assert after == before


def test_a_page_that_cannot_be_written_leaves_nothing(album, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    said = run(album, "--album", "--out", tmp_path / "sheet.html")
    assert said.exit_code == 2
    assert "sheet.html: can't be written (Read-only file system)" in " ".join(said.output.split())
    assert not (tmp_path / "sheet.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{a}/c.jpg", "--album"], "one folder"),
        (["{a}", "{a}", "--album"], "one folder"),
        (["{a}", "--album", "--write", "{d}"], "--out copies/"),
        (["{a}", "--album", "--replace-gps"], "goes with --write"),
        (["{a}", "--album", "--out", "page.png"], "ends in .html"),
        (["{a}", "--album", "--write", "{a}/gone.json", "--out", "x"], "No such file"),
        (["{a}", "--album", "--write", "{d}", "--out", "{a}/copies"], "lies in the album"),
        (["{a}/c.jpg", "--out", "x"], "go with --album"),
    ],
)
def test_what_does_not_go_together(album, tmp_path, words, said):
    given = {"a": album, "d": decisions(album, tmp_path)}
    answer = run(*(word.format(**given) for word in words))
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())
    assert sorted(path.name for path in album.iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]


def test_an_album_without_a_readable_photo(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    said = run(tmp_path, "--album", "--out", tmp_path / "page.html")
    assert said.exit_code == 2
    assert "none of the 1 photos can be read" in said.output
    assert not (tmp_path / "page.html").exists()
