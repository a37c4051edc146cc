"""The wheel, installed without dependencies, works with no more than what Colab holds."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from geolab.course.bootstrap import ON_TOP

HERE = Path(__file__).parent
ONLY_BUILDS = "latex2mathml"
"""Builds the pages of the course, which nobody does on Colab."""

IMPORT_ALL = """
import importlib, json, pkgutil, geolab
failed = {}
for module in pkgutil.walk_packages(geolab.__path__, "geolab."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        failed[module.name] = error.name
print(json.dumps([geolab.__file__, failed]))
"""
LOCATE = """
import numpy as np
from geolab import data, metrics
from geolab.course.bootstrap import complaints
from geolab.data.photos import read_images
from geolab.locators.im2gps import Im2GPS, Im2GPSConfig
photos = data.load("tinyearth", n=24, seed=0)
train, test = photos.select(range(20)), photos.select(range(20, 24))
answer = Im2GPS(Im2GPSConfig(k=10, n_textons=32)).fit(train).locate(read_images(test).images)
truth = np.c_[test["latitude"], test["longitude"]]
print(np.isfinite(metrics.errors_km(answer.mode(), truth)).sum())
print(complaints())
"""


def plain(name: str) -> str:
    """Spell the name of a distribution as the index does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needs(name: str) -> list[str]:
    """Names of what an installed distribution cannot do without."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    return [re.match(r"[\w.-]+", line)[0] for line in lines if "extra ==" not in line]


def refused() -> set[str]:
    """Top-level modules that are importable here, and not on Colab after its first cell."""
    lines = (HERE / "colab_packages.txt").read_text(encoding="utf-8").splitlines()
    held = {plain(line.split("==")[0]) for line in lines if not line.startswith("#")}
    held |= {plain(name) for name in ON_TOP}
    waiting = list(held)
    while waiting:  # a newer version of what Colab holds may need more than Colab's own does
        more = {plain(name) for name in needs(waiting.pop())} - held
        held |= more
        waiting += more
    held.add("geolab")
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if not any(plain(owner) in held or plain(owner).startswith("nvidia") for owner in owners)
    }


@pytest.fixture(scope="module")
def colab(repo_root, tmp_path_factory):
    """Function that runs Python with the wheel of this tree and Colab's packages only."""
    pytest.importorskip("hatchling")
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, tree)
    for name in ("geolab", "data_manifests"):
        shutil.copytree(repo_root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from hatchling import build; build.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (wheel,) = (tree / "dist").glob("*.whl")
    venv = tmp_path_factory.mktemp("colab") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = ["-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *install], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True)
    shutil.copy(HERE / "colab_site.py", Path(said.stdout.strip()) / "sitecustomize.py")

    def run(*arguments: str) -> str:
        env = {**os.environ, "GEOLAB_TEST_REFUSED": ",".join(sorted(refused()))}
        env["GEOLAB_TEST_SITE"] = os.pathsep.join(site.getsitepackages())
        done = subprocess.run(
            [python, *arguments], env=env, cwd=venv, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_what_colab_lacks_is_refused(colab):
    names = refused()
    assert {"hatchling", "hypothesis", "jupyterlab", ONLY_BUILDS} <= names
    assert not {"torch", "numpy", "numba", "open_clip", "ftfy", "reverse_geocode"} & names
    code = f"try:\n    import {ONLY_BUILDS}\nexcept ModuleNotFoundError as e:\n    print(e.name)"
    assert colab("-c", code).strip() == ONLY_BUILDS


def test_every_module_is_importable(colab):
    import json

    where, failed = json.loads(colab("-c", IMPORT_ALL).splitlines()[-1])
    assert "site-packages" in where
    assert {name: lacking for name, lacking in failed.items() if lacking != ONLY_BUILDS} == {}
    assert all(name.startswith("geolab.course.") for name in failed)


def test_the_command_tells_its_environment(colab):
    said = colab("-m", "geolab.cli", "env")
    assert re.search(r"^torch +\d", said, re.MULTILINE)


def test_im2gps_locates(colab):
    n_answers, complaints = colab("-c", LOCATE).splitlines()[-2:]
    assert (n_answers, complaints) == ("4", "[]")
