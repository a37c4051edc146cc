"""The table on the screen and the record in a file."""

from __future__ import annotations

import json as json_format
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from geolab.data.storage import write_atomic

_HEADINGS = ("time", "x limit", "MiB", "ratio", "target")


def command(kernels: Sequence[str], big: bool, json: str | Path | None) -> str:
    """Write down the command that makes these figures again.

    >>> command(["haversine"], False, None)
    'geolab bench haversine'
    """
    words = ["geolab", "bench", *kernels, *(["--big"] if big else [])]
    return shlex.join([*words, *(["--json", str(json)] if json else [])])


def start(line: str) -> None:
    """Print the command."""
    Console().print(f"[bold]$ {escape(line)}[/bold]", soft_wrap=True)


def milliseconds(seconds: float | None) -> str:
    """Time for people.

    >>> milliseconds(0.00153), milliseconds(2.5), milliseconds(None)
    ('1.5 ms', '2500 ms', '')
    """
    if seconds is None:
        return ""
    return f"{1e3 * seconds:.0f} ms" if seconds >= 0.0995 else f"{1e3 * seconds:.2g} ms"


def table(kernel: str, results: Sequence[Mapping]) -> None:
    """Print a kernel's cases: a section each, a row for us and for each peer; remarks below."""
    view = Table(title_justify="left")
    view.add_column(f"[bold]{escape(kernel)}[/bold]")
    for heading in _HEADINGS:
        view.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        view.add_row(f"[bold]{escape(result['name'])}, {escape(result['size'])}[/bold]")
        _add(view, "ours", result["ours"], result["peers"], result["limit_s"], result["within_s"])
        if "gpu" in result:
            _add(view, "ours, on the GPU", result["gpu"]["ours"], result["gpu"]["peers"], None)
        view.add_section()
    console = Console()
    console.print(view)
    for result in results:
        answer = result["agree"] and f"answers agree: {result['agree']}"
        said = "; ".join(filter(None, (answer, result["note"])))
        if said:
            style = "bold red" if differs(result) else "dim"
            console.print(
                f"  {result['name']}, {result['size']}: {said}", style=style, markup=False
            )


def differs(result: Mapping) -> bool:
    """Whether our answer is not that of the others."""
    return result["agree"].startswith("NO")


def _add(
    view: Table,
    label: str,
    ours: Mapping,
    peers: Sequence[Mapping],
    limit: float | None,
    within: float | None = None,
) -> None:
    median = ours.get("median_s")
    times_limit = f"{median / limit:.1f}" if limit and median else ""
    shown = escape(ours.get("failed", "")) or milliseconds(median)
    target = ""
    if within is not None and median is not None:
        target = _coloured(f"{within:g} s", median <= within)
    view.add_row(f"  {label}", shown, times_limit, _whole(ours), "", target)
    for peer in peers:
        view.add_row(*_peer_cells(peer))


def _peer_cells(peer: Mapping) -> list[str]:
    name = f"  {escape(peer['name'])}"
    if "failed" in peer:
        return [f"{name} [dim]({escape(peer['failed'])})[/dim]"]
    ratio, target = peer["ratio"], peer["target"]
    return [
        name,
        milliseconds(peer["median_s"]),
        "",
        _whole(peer),
        "" if ratio is None else f"{ratio:.2g}",
        "" if target is None else _coloured(f"{target:g}", peer["met"]),
    ]


def _coloured(target: str, met: bool | None) -> str:
    colour, word = {True: ("green", " met"), False: ("red", " missed"), None: ("default", "")}[met]
    return f"[{colour}]{target}{word}[/]"


def _whole(runner: Mapping) -> str:
    peak = runner.get("peak_mib")
    return "" if peak is None else f"{peak:.0f}"


def finish(record: Mapping, json: str | Path | None) -> None:
    """Print the conditions, and write the record if a file is given."""
    console = Console()
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    spoilt = record["bystanders_percent"]
    machine = f"{record['cpu']}, {record['cores']} cores, {record['memory_gb']} GB"
    console.print(
        f"{record['date']}; {machine}, {record['threads']} threads; "
        f"GPU: {record['gpu'] or 'none, so no GPU figures'}; {versions}.\n"
        f"{record['took_s']:.0f} s in all. Processor time stolen by the host "
        f"{spoilt['stolen']:.0f} %, used by other programs {spoilt['others']:.0f} %: "
        "over 5 % the times are too long, and ratios less sure.\n"
        "Time: median of alternating runs, one process. MiB: growth at the highest point of a "
        "call, its result included. Ratio: our time / theirs.",
        style="dim",
        highlight=False,
    )
    for result in filter(differs, record["cases"]):
        what = f"{result['kernel']}, {result['name']}, {result['size']}: {result['agree']}"
        console.print(f"ANSWERS DIFFER: {what}", style="bold red", markup=False)
    for name in record["skipped"]:
        console.print(f"No cases for {name} here.")
    if json:
        write_atomic(json, json_format.dumps(record, indent=1) + "\n")
        console.print(f"Record: {escape(str(json))}", soft_wrap=True)
