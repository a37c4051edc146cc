"""Where the kit lives, and at which tag: the addresses that Colab and `pip` are given.

The repository's own address stands in one place, `[project.urls]` of pyproject.toml. The tag is
`v` and the version, so that a notebook and the package that it installs belong together.
"""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import quote, urlparse

from geolab import __version__

_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_COLAB = "https://colab.research.google.com"


def repository_address() -> str:
    """Return the address of the repository, without a slash or `.git` at its end; "" if unknown.

    In a checkout the file itself is read: it may be newer than what was installed.
    """
    if _PYPROJECT.is_file():
        project = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == "geolab":
            return _plain(project.get("urls", {}).get("Repository", ""))
    urls = metadata.metadata("geolab").get_all("Project-URL") or []
    return _plain(dict(url.split(", ", 1) for url in urls).get("Repository", ""))


def _plain(address: str) -> str:
    return address.rstrip("/").removesuffix(".git")


def version_tag() -> str:
    """Return the tag of this version, which badges and installs name.

    >>> version_tag()[0]
    'v'
    """
    return f"v{__version__}"


def colab_address(stem: str, *, address: str | None = None, tag: str | None = None) -> str:
    """Return the address that opens a notebook of the course in Colab.

    Parameters
    ----------
    stem
        File name without `.ipynb`.
    address, tag
        Repository and tag; those of this kit if not given.

    Returns
    -------
    str
        Colab opens GitHub's repositories by name, and any other file by its address, if the server
        lets it.

    Examples
    --------
    >>> colab_address("01_im2gps", address="https://github.com/a/b", tag="v1.0")
    'https://colab.research.google.com/github/a/b/blob/v1.0/notebooks/01_im2gps.ipynb'
    >>> colab_address("01_im2gps", address="https://a.org/b", tag="v1.0").split("/", 3)[3]
    '#fileId=https%3A//a.org/b/raw/v1.0/notebooks/01_im2gps.ipynb'
    """
    address, tag = address or repository_address(), tag or version_tag()
    where = urlparse(address)
    if where.netloc == "github.com":
        return f"{_COLAB}/github{where.path}/blob/{tag}/notebooks/{stem}.ipynb"
    return f"{_COLAB}/#fileId={quote(f'{address}/raw/{tag}/notebooks/{stem}.ipynb')}"
