"""Examples in docstrings: where they must be, that they bite, and that none is skipped in silence.

`test_repository` runs those of every module.
"""

from __future__ import annotations

import doctest
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from geolab import metrics, posterior, sphere
from geolab.api_pages import module_names

ROOT = Path(__file__).resolve().parents[1]
SHOWN = {
    "geolab.sphere": {"great_circle_km", "to_unit", "spherical_mean", "destination"},
    "geolab.metrics": {
        "errors_km", "geoguessr_score", "summarise", "paired_difference", "uniform_chance",
        "uniform_chance_metrics",
    },
    "geolab.posterior": {
        "Posterior", "Posterior.from_votes", "Posterior.from_logits", "Posterior.cat",
        "Posterior.mean", "Posterior.entropy", "Posterior.credible", "Posterior.top",
    },
    "geolab.fairness": {"by_group", "wrongly_named"},
    "geolab.country_groups": {"names_of", "income_groups", "continents"},
}  # fmt: skip


def examples(name: str) -> set[str]:
    """Objects of a module whose docstring holds an example, without the module's name."""
    found = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    return {test.name.removeprefix(f"{name}.") for test in found if test.examples}


@pytest.mark.parametrize("name", SHOWN)
def test_the_ground_floor_shows_how_it_is_used(name):
    assert SHOWN[name] - examples(name) == set()


def run(module) -> int:
    """How many of a module's examples fail."""
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(module):
        runner.run(test, out=lambda text: None)
    return runner.failures


def swapped(latlon):
    """`to_unit` with latitude and longitude exchanged."""
    points = sphere.as_points(latlon)
    return _TO_UNIT(points.flip(-1))


_TO_UNIT = sphere.to_unit


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (sphere, "to_unit", swapped),
        (metrics, "per_photo", lambda errors, scale_km: {"within_200": 100.0 * (errors > 200)}),
        (posterior.Posterior, "mode", lambda self: self._pick(self.weight.argmin(-1))),
    ],
    ids=["lat and lon swapped", "hits and misses exchanged", "argmin for argmax"],
)
def test_examples_notice_a_fault(module, name, wrong, monkeypatch):
    home = posterior if module is posterior.Posterior else module
    assert run(home) == 0
    monkeypatch.setattr(module, name, wrong)
    assert run(home) > 0


def test_only_libraries_that_are_optional_may_keep_a_module_from_being_run():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    optional = {re.split(r"[\[<>=~!;]", line)[0].lower().replace("-", "_") for line in extras}
    optional |= {"triton", "faiss", "cv2"}  # comes with torch; faiss-cpu; opencv-python-headless
    lacking = {}
    for name in module_names():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            lacking[name] = (error.name or "").split(".")[0].lower()
    assert {name: why for name, why in lacking.items() if why not in optional} == {}
