"""The frozen list that predictions are scored against: ids, places, photographers, one n.

No photo is needed for it, only the table: a benchmark whose photos are gone can still be scored.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from geolab.data.benchmarks import Benchmark, freeze, load_benchmark
from geolab.data.building import photo_id, photographer_code
from geolab.data.errors import DataError
from geolab.data.storage import cache_folder
from geolab.papers.catalogue import PAPERS, Paper, availability, is_fetched, table_file, where

_ACCOUNT = re.compile(r"\d+@N\d\d")
"""Account in a file name of the Flickr test sets; their AUTHOR column is not to be trusted."""


@dataclass(frozen=True)
class Truth:
    """A frozen list and the names under which its photos may be asked for.

    Attributes
    ----------
    benchmark : Benchmark
    row_of : dict of str to int
        Row of a photo by its id or path, and by its bare file name where that is unique.
    synthetic : bool
    other_n : tuple of int
        Numbers that papers also divide by.
    unit : str
        What intervals resample: "photographer", "source", or "photo".
    """

    benchmark: Benchmark
    row_of: dict[str, int]
    synthetic: bool
    other_n: tuple[int, ...]
    unit: str

    def find(self, photo: str) -> int:
        """Row of a photo, -1 where it is not in the list."""
        plain = str(PurePosixPath(photo.replace("\\", "/")))
        found = self.row_of.get(photo, self.row_of.get(plain))
        return self.row_of.get(bare(photo), -1) if found is None else found

    def name_of(self, row: int) -> str:
        """Name that the list itself uses for a photo."""
        return next(name for name, at in self.row_of.items() if at == row)


def bare(photo: str) -> str:
    """File name without folder and ending, marked so that it is no id by chance.

    >>> bare("ab/cd/17.jpg")
    'name:17'
    """
    return f"name:{PurePosixPath(photo.replace(chr(92), '/')).stem}"


def load_truth(source: str, *, n: int | None = None, seed: int = 0) -> Truth:
    """Freeze the truth of a benchmark.

    Parameters
    ----------
    source : str
        "tinyearth" (its shared test part), a name of the catalogue whose table is in the cache,
        a csv (id or path or IMG_ID, latitude, longitude), or a .json of `save_benchmark`.
    n, seed
        Of TinyEarth: photos of the whole shared set, and its seed.

    Raises
    ------
    DataError
        Not fetched, never released, unknown, or a wrong table; says what to do.
    """
    if source == "tinyearth":
        return _tinyearth(n, seed)
    if n is not None:
        raise DataError("n is for tinyearth; a real list is scored whole, or it is another one")
    paper = next((p for p in PAPERS if source in (p.manifest, p.name) and source), None)
    if paper is not None and not Path(source).is_file():
        return _fetched(paper)
    if Path(source).suffix == ".json" and Path(source).is_file():
        frozen = load_benchmark(source)
        return _named(frozen, [(photo, row) for row, photo in enumerate(frozen.ids)])
    if Path(source).suffix.lower() == ".csv":
        return _from_table(Path(source), Path(source).stem)
    known = ", ".join(dict.fromkeys(["tinyearth", *(p.manifest for p in PAPERS if p.manifest)]))
    raise DataError(f"no benchmark {source!r}. Fix: use one of {known}, or the path of a truth.csv")


def _tinyearth(n: int | None, seed: int) -> Truth:
    from geolab.data.shared import shared_split

    with warnings.catch_warnings():  # an uneven split is no matter of whoever made predictions
        warnings.simplefilter("ignore")
        photos = shared_split(n=n, seed=seed)["test"]
    frozen = freeze(photos.remove_columns("image"), "tinyearth, shared test")
    return _named(frozen, [(photo, row) for row, photo in enumerate(frozen.ids)], synthetic=True)


def require_fetched(paper: Paper) -> None:
    """Refuse a benchmark whose table is not in the cache.

    Raises
    ------
    DataError
        Never released, or not there yet; says what to do.
    """
    if not paper.manifest:
        why = " ".join(availability(paper))
        raise DataError(f"{paper.name}: {why} Fix: if you have a truth.csv, give its path")
    if not is_fetched(paper):
        fetch_it = f'geolab.data.fetch("osv5m", files="{table_file(paper)}") in Python puts it at'
        put = fetch_it if paper.manifest == "osv5m" else "put your copy of the table at"
        raise DataError(
            f"{paper.manifest}: its table is not in the cache. Fix: {put} {where(paper)} (columns "
            "id or IMG_ID, latitude, longitude), or say --benchmark YOUR_TRUTH.csv"
        )


def _fetched(paper: Paper) -> Truth:
    require_fetched(paper)
    path = cache_folder() / paper.manifest / table_file(paper)
    return _from_table(path, paper.manifest, paper.other_n)


def _from_table(path: Path, name: str, other_n: tuple[int, ...] = ()) -> Truth:
    """Freeze a csv; ids are those that `geolab.data.load` gives, so that lists agree."""
    from datasets import Dataset

    from geolab.data.table import read_table

    table = read_table(path)
    written = table["path"] if "path" in table else table.get("id")
    if written is None:
        raise DataError(f"{path}: no column id, path or IMG_ID. Fix: add one that names the photos")
    ids = table["id"] if "id" in table else [photo_id(photo) for photo in written]
    columns = {"id": list(ids), "latitude": table["latitude"], "longitude": table["longitude"]}
    who, unit = _who(table, list(written))
    if who is not None:
        columns["photographer"] = who
    frozen = freeze(Dataset.from_dict({k: list(v) for k, v in columns.items()}), name)
    row_of = {photo: row for row, photo in enumerate(frozen.ids)}
    names = [(photo, row_of[i]) for photo, i in zip(written, columns["id"], strict=True)]
    names += list(row_of.items())
    return _named(frozen, names, other_n=other_n, unit=unit)


def _who(table: object, written: Sequence[str]) -> tuple[list[str] | None, str]:
    """Code of each photo's photographer or source, and which of the two it is."""
    for column in ("photographer", "source"):
        if column in table and any(table[column]):
            return [photographer_code(name) for name in table[column]], column
    found = [_ACCOUNT.search(photo) for photo in written]
    if any(found):
        return [photographer_code(hit.group() if hit else "") for hit in found], "photographer"
    return None, "photo"


def _named(
    frozen: Benchmark,
    names: Sequence[tuple[str, int]],
    *,
    synthetic: bool = False,
    other_n: tuple[int, ...] = (),
    unit: str = "",
) -> Truth:
    """Put together; a bare file name that two photos share names neither."""
    row_of = {str(PurePosixPath(photo.replace("\\", "/"))): row for photo, row in names}
    stems: dict[str, set[int]] = {}
    for photo, row in names:
        stems.setdefault(bare(photo), set()).add(row)
    row_of |= {stem: next(iter(rows)) for stem, rows in stems.items() if len(rows) == 1}
    known = frozen.photographer is not None and any(frozen.photographer)
    return Truth(frozen, row_of, synthetic, other_n, unit or ("photographer" if known else "photo"))
