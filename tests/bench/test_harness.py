"""The benchmark: fair turns, honest ratios, memory, failures, the record."""

from __future__ import annotations

import json
import time
import types

import pytest
import torch

from geolab.bench import harness, measure, report
from geolab.bench.harness import Case, race, run

ROOF = measure.Ceilings(10.0, 20.0, 100.0, 300.0)


def sleeper(seconds: float, log: list | None = None, name: str = ""):
    def call():
        if log is not None:
            log.append(name)
        time.sleep(seconds)

    return call


def case(**changes) -> Case:
    usual = {
        "kernel": "nap",
        "name": "short",
        "size": "2 ms",
        "ours": sleeper(0.002),
        "peers": {"slow": sleeper(0.02), "absent": None},
        "targets": {"slow": 0.5},
        "limit": lambda roof: 0.01 / roof.write_gb_s,
        "agree": lambda: True,
    }
    return Case(**usual | changes)


def test_ratio_target_limit_and_absent_peer():
    result = race(case(), ROOF)
    slow, absent = result["peers"]
    assert 0.02 < slow["ratio"] < 0.5
    assert slow["ratio"] == result["ours"]["median_s"] / slow["median_s"]
    assert slow["met"] is True
    assert absent["failed"] == "not installed"
    assert absent["ratio"] is None
    assert result["limit_s"] == pytest.approx(0.001)
    assert result["agree"] == "yes"
    missed = race(case(ours=sleeper(0.04)), ROOF)["peers"][0]
    assert missed["met"] is False
    assert missed["ratio"] > 1


def test_runners_take_turns_and_all_run_equally_often():
    log = []
    race(case(ours=sleeper(0, log, "a"), peers={"b": sleeper(0, log, "b")}), ROOF)
    assert log[-10:] == ["a", "b"] * 5
    assert log.count("a") == log.count("b")


def test_slow_runners_run_less_often(monkeypatch):
    monkeypatch.setattr(harness, "_LONG", 0.01)
    monkeypatch.setattr(harness, "_VERY_LONG", 0.05)
    monkeypatch.setattr(harness, "_TOO_LONG", 0.05)
    peers = {"slow": sleeper(0.02), "glacial": sleeper(0.06)}
    result = race(case(ours=sleeper(0.001), peers=peers, targets={}), ROOF)
    slow, glacial = result["peers"]
    assert [len(x["seconds"]) for x in (result["ours"], slow, glacial)] == [5, 3, 1]
    assert glacial["peak_mib"] is None
    assert slow["met"] is None


def test_a_failing_peer_and_a_failing_comparison_are_reported_not_raised():
    def fail():
        raise MemoryError("too large")

    result = race(case(peers={"broken": fail}, agree=fail), ROOF)
    assert result["peers"][0]["failed"] == "MemoryError: too large"
    assert result["agree"] == "NO: MemoryError: too large"
    result = race(case(ours=fail), ROOF)
    assert "too large" in result["ours"]["failed"]
    assert result["peers"][0]["ratio"] is None


@pytest.mark.parametrize(("answer", "shown"), [(False, "NO"), ("yes, within 1 m",) * 2])
def test_agreement_is_shown(answer, shown):
    assert race(case(agree=lambda: answer), ROOF)["agree"] == shown


@pytest.mark.parametrize("way", [measure.peak_mib, measure._sampled_peak_mib])
def test_peak_memory_counts_what_is_freed_again(way):
    def hungry():
        block = torch.ones(20 * 2**18)  # 20 MiB
        time.sleep(0.02)
        del block

    assert 18 < way(hungry) < 30
    assert way(lambda: None) < 5


def test_memory_falls_back_to_sampling(monkeypatch):
    monkeypatch.setattr(measure, "_field", lambda status, name: {}[name])
    assert measure.peak_mib(lambda: time.sleep(0.01)) < 5


def test_ceilings_and_conditions_are_of_this_machine():
    roof = measure.ceilings()
    assert 0.1 < roof.write_gb_s < 5000
    assert roof.copy_gb_s > 0.1
    assert roof.f32_gflop_s > 0.1
    now = measure.conditions()
    assert now["versions"]["torch"]
    assert now["threads"] == torch.get_num_threads()
    share = measure.Bystanders().share()
    assert all(0 <= x <= 100 for x in share.values())


def fake(monkeypatch, made: list[Case]):
    module = types.SimpleNamespace(cases=lambda big: made[: 2 if big else 1])
    monkeypatch.setattr(harness.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(
        harness.importlib.util, "find_spec", lambda name: None if "optics" in name else 1
    )
    monkeypatch.setattr(measure, "ceilings", lambda: ROOF)


def test_run_prints_its_command_and_writes_a_whole_record(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    fake(monkeypatch, [case(note="a [note]"), case(name="other")])
    file = tmp_path / "deep" / "record.json"
    record = run(["topk", "optics"], big=True, json=file)
    shown = capsys.readouterr().out
    assert shown.startswith(f"$ geolab bench topk optics --big --json {file}\n")
    for words in ("slow", "not installed", "met", "a [note]", "other", "No cases for optics"):
        assert words in shown
    assert "no GPU figures" in shown or torch.cuda.is_available()
    kept = json.loads(file.read_text())
    assert kept["command"] == record["command"]
    assert [c["name"] for c in kept["cases"]] == ["short", "other"]
    assert kept["cases"][0]["peers"][0]["ratio"] > 0
    assert kept["skipped"] == ["optics"]
    assert list(file.parent.iterdir()) == [file]
    assert len(run(["topk"])["cases"]) == 1


def test_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="no benchmark called 'warp'; there are haversine"):
        run(["warp"])


def test_gpu_figures_come_only_with_a_gpu(monkeypatch, capsys):
    def build():
        return {"ours": sleeper(0.001), "slow": sleeper(0.01)}

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "gpu" not in race(case(gpu=build), ROOF)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    result = race(case(gpu=build, gpu_targets={"slow": 0.5}), ROOF)
    assert result["gpu"]["peers"][0]["met"] is True
    report.table("nap", [result])
    assert "on the GPU" in capsys.readouterr().out


def test_case_files_make_well_formed_cases():
    """The two whose data are made in a moment."""
    for name in ("haversine", "smoothed_loss"):
        made = __import__(f"geolab.bench.{name}", fromlist=["cases"]).cases(False)
        assert all(isinstance(c, Case) and c.kernel == name and c.peers for c in made)
        assert all(set(c.targets) <= set(c.peers) for c in made)
