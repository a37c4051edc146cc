"""Manifests: those of the kit are sound, and wrong ones name the file, the field and the fix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml

from geolab.data.catalogue import list_manifests, load_manifest, manifests_folder
from geolab.data.errors import ManifestError
from geolab.data.loading import PERSONAL

PHOTO_SETS = {"im2gps", "im2gps3k", "mp16", "osv5m", "yfcc4k"}
EXPECTED = {*PHOTO_SETS, "leaflet", "natural_earth", "tinyearth"}


def test_the_kit_s_manifests_are_all_there():
    assert set(list_manifests()) >= EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_manifest_is_sound(name):
    manifest = load_manifest(name)
    assert manifest.name == name
    for entry in manifest.files:
        unpinned = entry.url and ("/main/" in entry.url or "/master/" in entry.url)
        assert entry.pinned != bool(unpinned), entry.path
        if entry.sha256 is None and entry.url:
            assert any("pinned" in issue for issue in manifest.known_issues)
    if manifest.licence == "custom":
        assert manifest.redistribution == "no"
    for column, about in manifest.columns.items():
        if about.get("personal"):
            assert column.lower() in (*PERSONAL, "photographer"), f"{column} would be kept on load"


def test_licences_are_spdx():
    licenses = pytest.importorskip("packaging.licenses")
    for name in list_manifests():
        licence = load_manifest(name).licence
        if licence != "custom":
            assert licenses.canonicalize_license_expression(licence) == licence


def test_published_counts():
    assert load_manifest("im2gps").splits["test"]["rows"] == 237
    assert load_manifest("im2gps3k").splits["test"]["rows"] == 2997
    assert load_manifest("yfcc4k").splits["test"]["rows"] is None  # nobody agrees on it


def test_natural_earth_is_the_file_it_says(shared_data):
    from geolab.data.storage import sha256_of

    for entry in load_manifest("natural_earth").files:
        copy = shared_data / "geo" / entry.path
        assert (copy.stat().st_size, sha256_of(copy)) == (entry.bytes, entry.sha256)


@pytest.mark.parametrize(
    ("changes", "field", "fix"),
    [
        ({"licence": "whatever you like"}, "licence", "SPDX"),
        ({"redistribution": "perhaps"}, "redistribution", "ids-only"),
        ({"checked_on": "yesterday"}, "checked_on", "YYYY-MM-DD"),
        ({"surprise": 1}, "top level", "copy an existing one"),
        ({"homepage": "ftp://x"}, "homepage", "address"),
        ({"splits": {"test": {"table": "gone.csv", "rows": 3}}}, "splits.test.table", "gone.csv"),
    ],
)
def test_wrong_field_is_named_with_its_fix(make_manifest, changes, field, fix):
    path = make_manifest(**changes)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    for part in (str(path), field, fix):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "fix"),
    [
        ({"sha256": "abc"}, "sha256sum"),
        ({"bytes": -1}, "bytes"),
        ({"path": "../escape.bin"}, "no .."),
        ({"path": "/etc/passwd"}, "relative"),
        ({"path": "a/../../b"}, "no .."),
    ],
)
def test_wrong_file_entry_is_named(make_manifest, entry, fix):
    with pytest.raises(ManifestError, match=r"files\.0\.") as caught:
        load_manifest(make_manifest(b"x", "https://example.org/x", entry))
    assert fix in str(caught.value)


def test_missing_field_is_named(make_manifest):
    path = make_manifest()
    raw = yaml.safe_load(path.read_text())
    del raw["ethics_note"]
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(ManifestError, match="ethics_note"):
        load_manifest(path)


def test_yaml_s_own_types_are_understood(make_manifest):
    path = make_manifest()
    text = path.read_text().replace("redistribution: 'yes'", "redistribution: no")
    path.write_text(text.replace("checked_on: '2026-01-01'", "checked_on: 2026-01-01"))
    manifest = load_manifest(path)
    assert (manifest.redistribution, manifest.checked_on) == ("no", "2026-01-01")


def test_not_yaml_unknown_name_and_wrong_name(tmp_path, make_manifest):
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [unclosed")
    with pytest.raises(ManifestError, match="not valid YAML"):
        load_manifest(broken)
    with pytest.raises(ManifestError, match="leaflet"):
        load_manifest("leeflat")
    other = make_manifest().rename(tmp_path / "other.yaml")
    with pytest.raises(ManifestError, match="'toy'"):
        load_manifest(other)


def test_a_wheel_carries_the_manifests(repo_root, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, tree)
    for name in ("geolab", "data_manifests"):
        shutil.copytree(repo_root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from hatchling import build; build.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (wheel,) = (tree / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    sources = {p.relative_to(repo_root).as_posix() for p in (repo_root / "geolab").rglob("*.py")}
    packed = {p.relative_to(site).as_posix() for p in (site / "geolab").rglob("*.py")}
    assert packed == sources
    ask = "from geolab.data import catalogue as c; print(c.manifests_folder(), *c.list_manifests())"
    answer = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert answer[0] == str(site / "geolab" / "data_manifests")
    assert answer[1:] == list_manifests()


def test_a_source_checkout_uses_its_own_folder(repo_root):
    assert manifests_folder() == repo_root / "data_manifests"
