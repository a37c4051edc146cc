"""The catalogue: one checked manifest for each data set, model or asset.

A manifest is a YAML file in `data_manifests/` that says what a data set is, where exactly its files
are, and what may be done with them. `manifest_schema.json` is its contract; what was not verified
stands under `known_issues`.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import fastjsonschema
import yaml

from geolab.data.errors import ManifestError


@dataclass(frozen=True)
class FileEntry:
    """One file of a manifest; an optional one is fetched only when asked for by its path."""

    path: str
    url: str | None
    sha256: str | None
    bytes: int | None
    rows: int | None = None
    split: str | None = None
    unpack: bool = False
    pinned: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Manifest:
    """A checked manifest; the fields are those of `manifest_schema.json`."""

    name: str
    version: str
    kind: str
    title: str
    homepage: str | None
    paper: str | None
    licence: str
    licence_url: str | None
    commercial_use: str
    redistribution: str
    terms_note: str
    files: tuple[FileEntry, ...]
    columns: MappingProxyType
    splits: MappingProxyType
    known_issues: tuple[str, ...]
    ethics_note: str
    mirrors: tuple[str, ...]
    checked_on: str


def manifests_folder() -> Path:
    """Where the manifests lie: inside an installed package, or beside it in a source checkout."""
    package = Path(str(resources.files("geolab")))
    for folder in (package / "data_manifests", package.parent / "data_manifests"):
        if folder.is_dir():
            return folder
    raise ManifestError(
        f"no data_manifests folder in {package} or beside it; install geolab again, "
        "or use a whole source checkout"
    )


def list_manifests() -> list[str]:
    """Names of all manifests, sorted."""
    return sorted(path.stem for path in manifests_folder().glob("*.yaml"))


def load_manifest(name: str | os.PathLike) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    name
        Name of a manifest of the kit, or the path of a `.yaml` file of your own.

    Raises
    ------
    ManifestError
        Unknown name, not YAML, or against the schema; names the file, the field and the fix.

    Examples
    --------
    >>> load_manifest("leaflet").licence
    'BSD-2-Clause'
    """
    path = Path(name)
    if path.suffix != ".yaml":
        path = manifests_folder() / f"{name}.yaml"
    if not path.is_file():
        raise ManifestError(
            f"there is no manifest {str(name)!r}; known are {', '.join(list_manifests())}. "
            "Give the path of a .yaml file to use your own"
        )
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{path}: not valid YAML ({error}); correct it there") from error
    return _build(_check(raw, path))


@functools.lru_cache(maxsize=1)
def _validator() -> Callable[[Any], Any]:
    schema = resources.files("geolab.data").joinpath("manifest_schema.json").read_text("utf-8")
    return fastjsonschema.compile(json.loads(schema))


def _check(raw: Any, path: Path) -> dict[str, Any]:
    """Check against the schema and for what a schema can't say; return plain values."""
    if isinstance(raw, dict):  # YAML reads yes, no and dates as other types than text
        raw = {key: _as_text(key, value) for key, value in raw.items()}
    try:
        _validator()(raw)
    except fastjsonschema.JsonSchemaValueException as error:
        field = ".".join(error.path[1:]) or "the top level"
        reason = error.message.removeprefix(error.name).strip()
        value = "" if isinstance(error.value, (dict, list)) else f" (it is {error.value!r})"
        fix = error.definition.get("description", "see manifest_schema.json")
        raise ManifestError(f"{path}: {field}: {reason}{value}. Fix: {fix}") from error
    if raw["name"] != path.stem:
        raise ManifestError(f"{path}: name: {raw['name']!r} is not the file's name {path.stem!r}")
    paths = [entry["path"] for entry in raw["files"]]
    twice = sorted({p for p in paths if paths.count(p) > 1})
    if twice:
        raise ManifestError(f"{path}: files: {twice[0]} is listed twice. Fix: keep one entry")
    for split, about in raw["splits"].items():
        if about["table"] is not None and about["table"] not in paths:
            raise ManifestError(
                f"{path}: splits.{split}.table: {about['table']!r} is not among the files"
            )
    return raw


def _as_text(key: str, value: Any) -> Any:
    if key in ("redistribution", "commercial_use") and isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, datetime.date) else value


def _build(raw: dict[str, Any]) -> Manifest:
    files = tuple(FileEntry(**entry) for entry in raw["files"])
    values = {field.name: _frozen(raw[field.name]) for field in fields(Manifest)}
    return Manifest(**{**values, "files": files})


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType(value)
    return tuple(value) if isinstance(value, list) else value
