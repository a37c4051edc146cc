"""Zips from the internet: whole or not at all, and never outside their folder."""

from __future__ import annotations

import errno
import stat
import zipfile

import pytest

from geolab.data.archives import unpack_zip
from geolab.data.errors import DiskFullError, FetchError


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return path


def test_a_good_zip_is_unpacked_and_replaces_the_old(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("x/1.txt", "one"), ("2.txt", "two")])
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    assert unpack_zip(archive, out) == out
    assert sorted(p.name for p in out.rglob("*.txt")) == ["1.txt", "2.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "outside"),
        ("good/../../evil.txt", "outside"),
        ("/etc/evil.txt", "absolute"),
        ("C:/evil.txt", "absolute"),
        ("..\\evil.txt", "backslash"),
    ],
)
def test_members_that_would_land_outside_are_refused(tmp_path, name, reason):
    archive = write_zip(tmp_path / "a.zip", [("good.txt", "good"), (name, "evil")])
    with pytest.raises(FetchError, match=reason) as caught:
        unpack_zip(archive, tmp_path / "deep" / "out")
    assert "evil.txt" in str(caught.value)
    assert not list(tmp_path.rglob("*.txt"))
    assert not list((tmp_path / "deep").iterdir())


def test_symbolic_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = write_zip(tmp_path / "a.zip", [(link, "/etc/passwd")])
    with pytest.raises(FetchError, match="symbolic link"):
        unpack_zip(archive, tmp_path / "out")


def test_bombs_are_refused_by_ratio_and_by_size(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("zeros.bin", bytes(20_000_000))])
    assert archive.stat().st_size < 100_000
    with pytest.raises(FetchError, match=r"swells .* 20\.0 MB"):
        unpack_zip(archive, tmp_path / "out")
    many = write_zip(tmp_path / "b.zip", [(f"{i}.bin", bytes(1000)) for i in range(10)])
    with pytest.raises(FetchError, match=r"10\.0 kB, more than the limit of 5\.0 kB"):
        unpack_zip(many, tmp_path / "out", max_total_bytes=5000)
    assert not (tmp_path / "out").exists()


def test_a_damaged_zip_leaves_the_old_folder(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("1.txt", "one" * 1000)])
    out = unpack_zip(archive, tmp_path / "out")
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(FetchError, match="not a whole zip"):
        unpack_zip(archive, out)
    assert (out / "1.txt").read_text() == "one" * 1000


def test_a_flipped_byte_is_noticed(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("1.txt", bytes(range(256)) * 40)])
    raw = bytearray(archive.read_bytes())
    raw[60] ^= 0xFF
    archive.write_bytes(raw)
    with pytest.raises(FetchError, match="not a whole zip"):
        unpack_zip(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_nothing_and_says_how_much(tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "a.zip", [("1.bin", bytes(300_000))])

    def full(self, path, *_):
        (path / "1.bin").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", full)
    with pytest.raises(DiskFullError, match=r"300\.0 kB"):
        unpack_zip(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
