"""The claim of a place: size, power, and the command."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from geolab import sphere
from geolab.cli import app
from geolab.posterior import Posterior
from geolab.verify import FEWEST, Opinion, judge_of, study, verdict, verify
from geolab.verify_command import parse_place


def world(n, seed):
    """Answers around truths in two countries far apart; photographers of five photos each."""
    rng = np.random.default_rng(seed)
    country = rng.integers(0, 2, n)
    base = np.where(country[:, None] == 0, [[48.0, 5.0]], [[-30.0, 140.0]])
    truth = base + rng.normal(0, 4, (n, 2))
    near = truth[:, None] + rng.normal(0, 3, (n, 4, 2))
    weight = rng.random((n, 4)) + 0.1
    answer = Posterior(
        torch.from_numpy(near), torch.from_numpy(weight / weight.sum(1, keepdims=True))
    )
    return answer, truth, country, [f"w{i // 5}" for i in range(n)]


@pytest.fixture(scope="module")
def judge():
    answer, truth, _, groups = world(400, 0)
    return judge_of("toy", lambda images: answer[:1], answer, truth, groups)


def test_size_and_power(judge):
    answer, truth, country, groups = world(600, 1)
    found = study(judge, answer, truth, country, groups=groups)
    assert found.n == 600
    assert found.rejected_true.value < 9
    assert found.rejected_true.low < 5.5
    assert found.rejected_swapped.value > 95
    assert found.rejected_swapped.low > found.rejected_true.high


def test_width_and_scores_come_from_different_photographers(judge):
    assert len(judge.known) == pytest.approx(267, abs=10)


def test_photographers_count_where_there_are_enough(judge):
    assert judge.counted == f"{len(set(judge.groups))} photographers with {len(judge.known)} photos"
    assert len(set(judge.groups)) >= FEWEST
    answer, truth, _, groups = world(100, 3)
    few = judge_of("toy", None, answer, truth, groups)  # 13 photographers are left
    alone = judge_of("toy", None, answer, truth)
    for made in (few, alone):
        assert made.groups is None
        assert "as if each had come by itself" in made.counted


def test_one_country_has_no_swaps(judge):
    answer, truth, _, _ = world(20, 2)
    with pytest.raises(ValueError, match="one country"):
        study(judge, answer, truth, ["FR"] * 20)


def test_an_opinion_names_rivals_to_the_city(judge):
    near = verify(None, (48.0, 5.0), [judge])
    far = verify(None, (-30.0, 140.0), [judge])
    assert len(far[0].rivals) == 3
    assert far[0].rivals[0].lat == round(far[0].rivals[0].lat, 1)
    assert min(near[0].p, far[0].p) < 0.05
    km = sphere.great_circle_km([[near[0].rivals[0].lat, near[0].rivals[0].lon]], [[48.0, 5.0]])[0]
    assert (near[0].p > far[0].p) == (km < 5000)


def test_verdicts_share_the_level():
    assert "does not speak against" in verdict([Opinion("a", 0.03, ()), Opinion("b", 0.9, ())])
    assert "no proof" in verdict([Opinion("a", 0.3, ())])
    assert "speaks against" in verdict([Opinion("a", 0.03, ())])


@pytest.mark.parametrize("text", ["48.9", "a,b", "1,2,3", "", "nan"])
def test_claims_must_be_places(text):
    with pytest.raises(ValueError, match="LAT,LON"):
        parse_place(text)


def test_swapped_coordinates_get_a_hint():
    with pytest.raises(ValueError, match="latitude comes first"):
        parse_place("140,-30")
    with pytest.raises(ValueError, match="not on Earth"):
        parse_place("nan,0")


def test_the_command(tmp_path):
    from geolab.data.tinyearth import Scene

    path = tmp_path / "photo.png"
    Scene(64.13, -21.9).street(96).save(path)
    said = CliRunner().invoke(
        app, ["verify", str(path), "--claimed=64.1,-21.9", "--n", "300", "--locator", "clip"]
    )
    assert said.exit_code == 0, said.output
    assert "synthetic" in said.output
    assert "p = " in said.output
    assert "speak" in said.output
    for wrong, says in (
        (["--claimed=99,0"], "not on Earth"),
        (["--claimed=1,1", "--locator", "psychic"], "no locator 'psychic'"),
    ):
        said = CliRunner().invoke(app, ["verify", str(path), *wrong])
        assert said.exit_code == 2
        assert says in said.output
    said = CliRunner().invoke(app, ["verify", str(tmp_path / "none.jpg"), "--claimed=1,1"])
    assert said.exit_code == 2
    assert "none.jpg" in said.output
