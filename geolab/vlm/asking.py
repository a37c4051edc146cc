"""What a language model is asked with, and what may leave the machine.

A back-end is any callable ``ask(image, messages) -> Reply``. The picture that it gets is encoded
again: at most 1,024 pixels, JPEG, without EXIF, so that a position in the file never travels.
Sending a photo to somebody else's computer is a disclosure: a back-end on another host refuses to
work until `consent` was given to that host, once.
"""

from __future__ import annotations

import io
import ipaddress
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

from PIL import Image

MAX_SIDE = 1024
_AGREED: set[str] = set()
_YES_VARIABLE = "GEOLAB_SEND_PHOTOS_TO"


@dataclass(frozen=True)
class Message:
    """One turn of a talk; the photo goes with the first of the user's."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes
    ----------
    text : str
    tokens_in, tokens_out : int
        As the back-end counts them; 0 where it doesn't.
    seconds : float
    """

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0


class Ask(Protocol):
    """A back-end."""

    name: str

    def __call__(self, image: Image.Image, messages: Sequence[Message]) -> Reply:
        """Answer the last message."""


class AskError(RuntimeError):
    """A back-end could not answer; the message says why and what to do."""


def travelling_jpeg(image: Image.Image) -> bytes:
    """Encode a picture as it may leave the machine: small, and nothing in it but pixels.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    bytes
        JPEG of at most `MAX_SIDE` pixels a side, without EXIF, comments or profiles.
    """
    bare = Image.new("RGB", image.size)
    bare.paste(image.convert("RGB"))
    bare.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    bare.save(out, "JPEG", quality=88)
    return out.getvalue()


def consent(host: str, *, ask: bool = True) -> None:
    """Make sure that the person agrees to send photos to a host; asks once in a terminal.

    Parameters
    ----------
    host : str
        As it is shown. This machine (localhost) needs no consent.
    ask : bool
        Ask in the terminal; else only the environment variable counts.

    Raises
    ------
    AskError
        If the answer is no, or nobody can be asked and `GEOLAB_SEND_PHOTOS_TO` names another host.
    """
    agreed = {h.strip() for h in os.environ.get(_YES_VARIABLE, "").split(",")}
    if _is_here(host) or host in _AGREED or host in agreed:
        return
    if ask and sys.stdin is not None and sys.stdin.isatty():
        said = input(f"Photos will be sent to {host}, without EXIF. Send them? [y/N] ")
        if said.strip().lower() in ("y", "yes"):
            _AGREED.add(host)
            return
        raise AskError(f"nothing was sent to {host}")
    raise AskError(
        f"photos would be sent to {host}; if everyone in them may be shown to it, "
        f"set {_YES_VARIABLE}={host}"
    )


def _is_here(host: str) -> bool:
    """Whether host (and port) are this machine by name or number."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
