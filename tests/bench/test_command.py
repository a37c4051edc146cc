"""``geolab bench``: what it says, what it writes, how it ends."""

from __future__ import annotations

import json
import time

import fastjsonschema
import pytest
from typer.testing import CliRunner

from geolab.bench import MODULES, harness, measure, report
from geolab.bench.harness import Case, race
from geolab.cli import app

ROOF = measure.Ceilings(10.0, 20.0, 100.0, 300.0)
TEXT = {"type": "string"}
NUMBER = {"type": ["number", "null"], "minimum": 0}
RUNNER = {
    "type": "object",
    "properties": {
        "seconds": {"type": "array", "items": {"type": "number"}, "minItems": 1},
        "median_s": NUMBER,
        "peak_mib": NUMBER,
        "failed": {"type": "string"},
        "scaled_by": {"type": "number", "exclusiveMinimum": 1},
    },
    "oneOf": [{"required": ["seconds", "median_s", "peak_mib"]}, {"required": ["failed"]}],
}
PEER = {
    "allOf": [RUNNER],
    "required": ["name", "ratio", "target", "met"],
    "properties": {"ratio": NUMBER, "target": NUMBER, "met": {"type": ["boolean", "null"]}},
}
TEXTS = ("kernel", "name", "size", "note", "agree")
CASE = {
    "type": "object",
    "required": [*TEXTS, "ours", "peers", "limit_s", "within_s", "took_s", "ceilings"],
    "properties": {
        **{name: TEXT for name in TEXTS},
        **{name: NUMBER for name in ("limit_s", "within_s", "took_s")},
        "ours": RUNNER,
        "peers": {"type": "array", "items": PEER},
    },
}
FACTS = ("command", "date", "cpu", "system")
OTHERS = ("cores", "threads", "memory_gb", "gpu", "took_s")
RECORD = {
    "type": "object",
    "required": [*FACTS, *OTHERS, "versions", "cases", "skipped", "bystanders_percent"],
    "properties": {
        **{name: TEXT for name in FACTS},
        "cases": {"type": "array", "items": CASE, "minItems": 1},
        "gpu": {"type": ["string", "null"]},
        "versions": {"type": "object", "required": ["python", "torch", "numpy"]},
        "bystanders_percent": {"type": "object", "required": ["stolen", "others"]},
        "took_s": NUMBER,
    },
}


def nap(**changes) -> Case:
    def slow():
        time.sleep(0.004)

    def broken():
        raise MemoryError("too large")

    usual = {
        "peers": {"slow (1 nap, time x 3)": slow, "absent": None, "broken": broken},
        "targets": {"slow (1 nap, time x 3)": 0.5},
        "scaled": {"slow (1 nap, time x 3)": 3.0, "absent": 2.0, "broken": 2.0},
        "agree": lambda: True,
        "within_s": 1.0,
    }
    return Case("haversine", "nap", "1 ms", lambda: time.sleep(0.001), **usual | changes)


@pytest.fixture
def command(monkeypatch):
    """Run the command with given cases in the place of the real ones; wide screen."""
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: object, cases=()):
        race_all = [race(case, ROOF) for case in cases]
        monkeypatch.setattr(harness, "_kernel", lambda name, big: race_all)
        return CliRunner().invoke(app, ["bench", *map(str, arguments)])

    return run


def test_the_record_has_its_form(command, tmp_path):
    said = command("haversine", "--json", tmp_path / "record.json", cases=[nap()])
    assert said.exit_code == 0, said.output

    def refuse(word: str):
        raise AssertionError(f"{word} is not JSON")

    text = (tmp_path / "record.json").read_text()
    record = json.loads(text, parse_constant=refuse)
    fastjsonschema.compile(RECORD)(record)
    slow, absent, broken = record["cases"][0]["peers"]
    assert slow["scaled_by"] == 3
    assert slow["median_s"] >= 0.012
    assert slow["ratio"] == record["cases"][0]["ours"]["median_s"] / slow["median_s"]
    assert absent["failed"] == "not installed"
    assert broken["failed"] == "MemoryError: too large"


def test_the_screen_says_what_counts(command):
    said = command("haversine", cases=[nap()]).output
    for words in ("$ geolab bench haversine", "not installed", "0.5 met", "1 s met", "s in all"):
        assert words in said
    assert "ANSWERS DIFFER" not in said
    assert "1 s met" not in command("haversine", cases=[nap(within_s=None)]).output
    assert "1e-05 s missed" in command("haversine", cases=[nap(within_s=1e-5)]).output


@pytest.mark.parametrize("answer", [False, "NO, 3 of 9 rows"])
def test_answers_that_differ_are_told_loudly(command, answer):
    said = command("haversine", cases=[nap(), nap(agree=lambda: answer)])
    assert said.exit_code == 1
    assert said.output.count("ANSWERS DIFFER: haversine, nap, 1 ms: NO") == 1


def test_a_case_that_fails_is_told_and_not_in_the_way(command):
    def fail():
        raise RuntimeError("no such luck")

    said = command("haversine", cases=[Case("haversine", "bad", "0", fail, {"other": int}), nap()])
    assert "no such luck" in said.output
    assert "0.5 met" in said.output


def test_an_unknown_kernel_is_answered_with_the_known_ones():
    said = CliRunner().invoke(app, ["bench", "warp"])
    assert said.exit_code == 2
    assert [name for name in ("'warp'", *MODULES) if name not in said.output] == []
    assert "Traceback" not in said.output


def test_an_answer_that_was_not_compared_is_no_difference():
    assert not report.differs(race(nap(agree=None), ROOF))
