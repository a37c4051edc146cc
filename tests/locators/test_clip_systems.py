"""The CLIP systems of ``geolab table``, and the ablation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from geolab import ablation
from geolab.cli import app
from geolab.data.shared import shared_split
from geolab.locators.clip_systems import fit_clip_systems, held_out
from geolab.locators.table_systems import SINGLE, SYSTEMS, fit_locator
from geolab.rows import read_rows
from geolab.tables import published


@pytest.fixture(scope="module")
def parts():
    return shared_split(n=600)


@pytest.mark.slow
def test_every_system_answers_every_photo(parts):
    made = fit_clip_systems(("clip", "streetclip", "pigeon"), parts["train"], 0)
    said = made.answer(parts["test"], np.arange(len(parts["train"])))
    wanted = {
        "CLIP zero-shot, country", "CLIP zero-shot, city", "CLIP 1-NN", "CLIP kNN + density",
        "CLIP linear probe", "CLIP fine-tuned", "StreetCLIP-style zero-shot, country",
        "StreetCLIP-style zero-shot, city", "PIGEON: semantic cells", "PIGEON: + smoothed labels",
        "PIGEON: + further tasks", "PIGEON: + prototypes",
    }  # fmt: skip
    assert set(said.points) == wanted
    for name, points in said.points.items():
        assert points.shape == (len(parts["test"]), 2), name
        assert np.isfinite(points).all(), name
        assert len(np.unique(points, axis=0)) > 1, name
    assert {"CLIP linear probe", "CLIP fine-tuned", "PIGEON: + prototypes"} <= set(said.costs)
    assert "synthetic" in said.notes["clip"]


@pytest.mark.slow
def test_photos_without_columns_and_unreadable_photos(parts):
    import datasets

    bare = ["id", "image", "latitude", "longitude"]
    known = parts["train"].select(range(200)).select_columns(bare)
    rows = parts["test"].select(range(8)).select_columns(bare)
    rows = rows.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[3]["image"] = {"bytes": b"no photo", "path": None}
    asked = datasets.Dataset.from_list(rows, features=known.features)
    said = fit_clip_systems(("streetclip", "pigeon"), known, 0).answer(asked, np.arange(200))
    assert "country" in said.notes["streetclip"]
    assert "pigeon" in said.notes  # no columns for the tasks
    assert np.isnan(said.points["PIGEON: + prototypes"][3]).all()
    assert rows[3]["id"] in said.failures


def test_no_photographer_learns_and_chooses(parts):
    learn, held = held_out(parts["train"], 0)
    people = np.array(parts["train"]["photographer"])
    assert not set(people[learn]) & set(people[held])
    assert len(learn) + len(held) == len(people)


def test_names(parts):
    assert {"clip", "pigeon"} <= set(SINGLE) < set(SYSTEMS)
    with pytest.raises(ValueError, match="no system 'klip'"):
        fit_clip_systems(("klip",), parts["train"], 0)
    with pytest.raises(ValueError, match="no locator 'streetclip'"):
        fit_locator("streetclip", parts["train"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip", "pigeon"])
def test_single_photos(parts, name):
    located = fit_locator(name, parts["train"]).locate([parts["test"][0]["image"]])
    assert torch.isfinite(located.mode()).all()


@pytest.mark.slow
def test_nine_rows_and_the_papers_nine():
    told = []
    made = ablation.run_ablation(n=300, say=told.append)
    assert [row.system for row in made.rows] == list(ablation.PARTS)
    assert all(row.synthetic and row.n == made.rows[0].n for row in made.rows)
    assert not any(row.synthetic for row in made.published)
    assert len(made.published) == 9
    assert made.published[0].metrics["median_km"].value == 44.35
    views = [row.parameters["views"] for row in made.rows]
    assert views == [4] * 7 + [1] * 2


def test_an_ablations_environment_is_written_beside_its_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = tuple(published("pigeon-holdout")[:2])
    monkeypatch.setattr(
        ablation, "run_ablation", lambda *_, **__: ablation.AblationResult(rows, (), 0.1)
    )
    for options, beside in (([], "build/ablation"), (["--json", "mine.json"], "mine")):
        said = CliRunner().invoke(app, ["ablation", *options])
        assert said.exit_code == 0, said.output
        assert "torch" in (tmp_path / f"{beside}.environment.json").read_text()
    assert len(read_rows(tmp_path / "mine.json")) == 2


@pytest.mark.parametrize("number", range(1, 9))
def test_each_row_lacks_one_part_more(number):
    """Between neighbouring rows exactly one thing changes: tower or one setting."""
    from dataclasses import fields

    above, below = (ablation._config(i, 0) for i in (number - 1, number))
    towers = ["pretrained" if i == 0 else ablation._tower(i) for i in (number - 1, number)]
    changed = [f.name for f in fields(above) if getattr(above, f.name) != getattr(below, f.name)]
    assert len(changed) + (towers[0] != towers[1]) == 1
