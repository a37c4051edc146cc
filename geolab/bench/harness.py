"""The race: ours, then each peer, then ours again, in one process; medians and their ratios.

Alternating is what makes a ratio worth something on a machine that others use too: a slow minute
hits all runners. The first call of each is not timed for the record: it compiles, warms caches,
and tells the peak memory in a second one if it is quick. After that there are five rounds, three
for a runner over 0.6 s, one over 3 s, so that the whole benchmark stays under five minutes on two
cores.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from geolab.bench import measure, report
from geolab.bench.measure import Ceilings

MODULES = ("haversine", "smoothed_loss", "topk", "hamming", "density", "s2", "optics")
MODULES += ("prototypes", "descriptors")
_LONG, _VERY_LONG, _TOO_LONG = 0.6, 3.0, 12.0  # seconds


@dataclass(frozen=True)
class Case:
    """One task, our way to do it and the peers' ways.

    Attributes
    ----------
    kernel, name, size : str
        ``"haversine"``, ``"fresh memory"``, ``"1024 x 12893"``.
    ours : callable
        Does the task once; takes nothing.
    peers : mapping
        Name -> callable that does the same task, or None where its package is not installed.
    targets : mapping
        Peer -> ratio (our time / its time) that the project set itself.
    scaled : mapping
        Peer -> how many times longer the whole task takes it than the part it is given, for a peer
        too slow to wait for. Its times are multiplied, and its name has to say so.
    within_s : float, optional
        Seconds the project allows itself, where that is the target.
    limit : float or callable, optional
        Seconds below which this machine can't go, or a function that works them out from
        `Ceilings`.
    agree : callable, optional
        Compares the answers, untimed: True, False, or a phrase with the measured difference. A
        phrase that starts with "NO" counts as False.
    note : str
        For the reader: what is special, and for a target that is missed, the reason.
    gpu : callable, optional
        Called only where CUDA is there: returns {"ours": callable, peer: callable, ...} on it.
    gpu_targets : mapping
    """

    kernel: str
    name: str
    size: str
    ours: Callable[[], object]
    peers: Mapping[str, Callable[[], object] | None]
    targets: Mapping[str, float] = field(default_factory=dict)
    scaled: Mapping[str, float] = field(default_factory=dict)
    within_s: float | None = None
    limit: float | Callable[[Ceilings], float] | None = None
    agree: Callable[[], str | bool] | None = None
    note: str = ""
    gpu: Callable[[], Mapping[str, Callable[[], object]]] | None = None
    gpu_targets: Mapping[str, float] = field(default_factory=dict)


def run(
    kernels: Sequence[str] = (), *, big: bool = False, json: str | Path | None = None
) -> dict[str, object]:
    """Time kernels against their peers, print the table, and keep the record if a file is given.

    Parameters
    ----------
    kernels : sequence of str
        Some of `MODULES`; all when empty.
    big : bool
        Also the cases that need gigabytes or minutes.
    json : path, optional
        Where to write the record; written whole or not at all.

    Returns
    -------
    dict
        The record: command, conditions, and for each case times, ratios, memory and agreement.

    Raises
    ------
    ValueError
        For a kernel that does not exist.
    """
    unknown = [name for name in kernels if name not in MODULES]
    if unknown:
        raise ValueError(f"no benchmark called {unknown[0]!r}; there are {', '.join(MODULES)}")
    command = report.command(kernels, big, json)
    report.start(command)
    bystanders, record = measure.Bystanders(), {"command": command, **measure.conditions()}
    record["cases"], record["skipped"], began = [], [], time.perf_counter()
    for name in [m for m in MODULES if not kernels or m in kernels]:
        if importlib.util.find_spec(f"geolab.bench.{name}") is None:
            record["skipped"].append(name)
            continue
        results = _kernel(name, big)
        report.table(name, results)
        record["cases"] += results
    record["took_s"] = time.perf_counter() - began
    record["bystanders_percent"] = bystanders.share()
    report.finish(record, json)
    return record


def _kernel(name: str, big: bool) -> list[dict[str, object]]:
    """Race all cases of a kernel; its data are gone afterwards."""
    cases = importlib.import_module(f"geolab.bench.{name}").cases(big)
    roof = measure.ceilings()
    results = [race(case, roof) for case in cases]
    del cases
    gc.collect()
    return results


def race(case: Case, roof: Ceilings) -> dict[str, object]:
    """Time one case and compare the answers."""
    runners = {"ours": case.ours} | {k: v for k, v in case.peers.items() if v is not None}
    began = time.perf_counter()
    times = _alternate(runners)
    for name, factor in case.scaled.items():
        _scale(times.get(name, {}), factor)
    limit = case.limit(roof) if callable(case.limit) else case.limit
    result = {
        "kernel": case.kernel,
        "name": case.name,
        "size": case.size,
        "note": case.note,
        "ceilings": asdict(roof),
        "limit_s": limit,
        "agree": _agreement(case),
        "within_s": case.within_s,
        "ours": times["ours"],
        "peers": _compare(times, case.peers, case.targets),
    }
    if case.gpu is not None and torch.cuda.is_available():
        on_gpu = dict(case.gpu())
        fast = _alternate(on_gpu)
        result["gpu"] = {"ours": fast["ours"], "peers": _compare(fast, on_gpu, case.gpu_targets)}
    return result | {"took_s": time.perf_counter() - began}


def _alternate(runners: Mapping[str, Callable[[], object]]) -> dict[str, dict[str, object]]:
    """Times and peak memory of all runners; one that fails is kept with its message."""
    out, rounds = {}, {}
    for name, call in runners.items():
        try:
            first = measure.seconds(call)
            peak = measure.peak_mib(call) if first < _TOO_LONG else None
            again = measure.seconds(call) if first < _TOO_LONG else first  # the first may compile
        except Exception as error:  # a peer's own failure is a result, not a reason to stop
            out[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
            continue
        rounds[name] = 5 if again < _LONG else 3 if again < _VERY_LONG else 1
        out[name] = {"seconds": [], "peak_mib": peak}
    for turn in range(5):
        for name, number in rounds.items():
            if turn < number:
                out[name]["seconds"].append(measure.seconds(runners[name]))
    for name in rounds:
        out[name]["median_s"] = statistics.median(out[name]["seconds"])
    return out


def _scale(timed: dict[str, object], factor: float) -> None:
    """Turn the times of a part into times of the whole, in place."""
    if "median_s" in timed:
        timed["scaled_by"] = factor
        timed["seconds"] = [factor * seconds for seconds in timed["seconds"]]
        timed["median_s"] *= factor


def _compare(
    times: Mapping[str, dict], peers: Mapping[str, object], targets: Mapping[str, float]
) -> list[dict[str, object]]:
    """One entry for each peer, installed or not."""
    ours, rows = times["ours"].get("median_s"), []
    for name in peers:
        if name == "ours":
            continue
        row = {"name": name, "target": targets.get(name), "ratio": None, "met": None}
        row |= times.get(name, {"failed": "not installed"})
        if ours is not None and "median_s" in row:
            row["ratio"] = ours / row["median_s"]
            row["met"] = None if row["target"] is None else row["ratio"] <= row["target"]
        rows.append(row)
    return rows


def _agreement(case: Case) -> str:
    if case.agree is None:
        return ""
    try:
        answer = case.agree()
    except Exception as error:  # so that one broken comparison does not cost the whole table
        return f"NO: {type(error).__name__}: {error}".splitlines()[0]
    return {True: "yes", False: "NO"}.get(answer, answer)
