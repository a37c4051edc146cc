"""Files behind an address, read in stretches: hubs, web servers, folders, whatever fsspec knows.

    with open_ranged("https://example.org/photos.zip", cache="none") as stream:
        window = Window(stream)
        window.hold(start, stop)      # one answer, to the byte

Reads inside the stretch that is held ask nobody.
"""

from __future__ import annotations

import io
import os

from geolab.data.errors import FetchError

_BLOCK = 1 << 22  # of what is read from end to end: few answers, each of 4 MB


def open_ranged(url: str | os.PathLike, *, cache: str = "readahead") -> io.IOBase:
    """Open an address or a path for reading.

    Parameters
    ----------
    url : str or path
    cache : str
        fsspec's: "readahead" for what is read from end to end, "none" for stretches.

    Raises
    ------
    FetchError
        If it can't be opened; the message says what to do.
    """
    import fsspec.core

    try:
        files, path = fsspec.core.url_to_fs(str(url))
        return files.open(path, "rb", block_size=_BLOCK, cache_type=cache)
    except FileNotFoundError:
        raise FetchError(f"{url}: there is no such file; check the address and revision") from None
    except ImportError as error:
        raise FetchError(f"{url}: {error}. Run: pip install 'geolab[remote]'") from None
    except (OSError, ValueError) as error:
        raise FetchError(f"{url}: can't be opened ({error}); is there a network?") from None


class Window(io.RawIOBase):
    """A stream of which one stretch at a time is held: reads inside it ask nobody."""

    def __init__(self, stream: io.IOBase) -> None:
        self._stream, self._held, self._start, self._at = stream, b"", 0, 0

    def hold(self, start: int, stop: int) -> None:
        """Fetch bytes `start` up to but without `stop`, in one answer."""
        self._stream.seek(start)
        self._held, self._start = self._stream.read(stop - start), start

    def seekable(self) -> bool:
        """Say yes: a zip is read from its end."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; nothing is fetched."""
        self._at = self._stream.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def read(self, n: int = -1) -> bytes:
        """Read n bytes, from what is held if all of them are."""
        first = self._at - self._start
        if first >= 0 <= n and first + n <= len(self._held):
            data = self._held[first : first + n]
        else:
            self._stream.seek(self._at)
            data = self._stream.read(n)
        self._at += len(data)
        return data
