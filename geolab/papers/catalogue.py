"""The seven tables: their benchmark in `published.csv`, their n, and whether photos can be had."""

from __future__ import annotations

from dataclasses import dataclass

from geolab.data.catalogue import load_manifest
from geolab.data.storage import cache_folder
from geolab.environment import without_home


@dataclass(frozen=True)
class Paper:
    """One table of the literature.

    Attributes
    ----------
    name : str
        For ``--paper``.
    benchmark : str
        In `geolab.tables.published`.
    title : str
    n : int
        Photos that the figures divide by; 0 where nobody says.
    other_n : tuple of int
        Numbers that are also in use.
    manifest : str
        In the catalogue of data; "" where there is nothing to fetch.
    about : tuple of str
        What a reader has to know that no manifest says.
    """

    name: str
    benchmark: str
    title: str
    n: int = 0
    other_n: tuple[int, ...] = ()
    manifest: str = ""
    about: tuple[str, ...] = ()


PAPERS = (
    Paper("im2gps", "im2gps-237", "IM2GPS (2008)", 237, manifest="im2gps"),
    Paper("im2gps3k", "im2gps3k", "IM2GPS3k (2017)", 2997, (3000,), "im2gps3k"),
    Paper("yfcc4k", "yfcc4k", "YFCC4k (2017)", 4536, (4000,), "yfcc4k"),
    Paper(
        "yfcc26k",
        "yfcc26k",
        "YFCC26k",
        25_600,
        about=(
            "Availability: geolab has no list of these photos. No clean mirror was found, and "
            "users report about a thousand dead addresses.",
        ),
    ),
    Paper(
        "gws15k",
        "gws15k",
        "GWS15k (2023)",
        about=(
            "Availability: about 15,000 street views that were never released, though asked for "
            "in three repositories. Nobody but those who have them can check a number below.",
            "So geolab cannot have a row of its own here.",
        ),
    ),
    Paper(
        "osv5m",
        "osv5m-test",
        "OpenStreetView-5M, test part (2024)",
        manifest="osv5m",
        about=("Availability: 210,122 photos by second hand; papers do not say their n.",),
    ),
    Paper(
        "pigeon-ablation",
        "pigeon-holdout",
        "PIGEON's ablation (2023)",
        5000,
        about=(
            "Availability: none. Photos, cells and weights were withheld on purpose.",
            "Cumulative: each row lacks its part and all parts above it; no row is an effect "
            "alone.",
            "geolab ablation takes its own PIGEON apart in the same order, on synthetic photos.",
        ),
    ),
)


def find_paper(name: str) -> Paper:
    """Look a table up.

    Raises
    ------
    ValueError
        Unknown name; the message lists those that are there.

    Examples
    --------
    >>> find_paper("im2gps").n
    237
    """
    for paper in PAPERS:
        if name == paper.name:
            return paper
    known = "\n".join(f"  {paper.name:<16} {paper.title}" for paper in PAPERS)
    raise ValueError(f"no paper table {name!r}; there are:\n{known}")


def availability(paper: Paper) -> list[str]:
    """Where the photos are, what they may be used for, and what is known to be wrong with them."""
    if not paper.manifest:
        return list(paper.about)
    manifest = load_manifest(paper.manifest)
    here = is_fetched(paper)
    state = "in the cache" if here else f"not in the cache ({where(paper)})"
    lines = [*paper.about, f"Photos: {state}. Licence: {manifest.licence}. {manifest.terms_note}"]
    return [*lines, *manifest.known_issues]


def table_file(paper: Paper) -> str:
    """Path of the test table inside the cache folder."""
    return str(load_manifest(paper.manifest).splits["test"]["table"])


def where(paper: Paper) -> str:
    """Where the test table belongs, with `~` for the home folder."""
    return without_home(cache_folder() / paper.manifest / table_file(paper))


def is_fetched(paper: Paper) -> bool:
    """Whether the test table is in the cache."""
    return bool(paper.manifest) and (cache_folder() / paper.manifest / table_file(paper)).is_file()
