"""What the data layer raises. Messages name the file or row, the value and the next action."""

from __future__ import annotations


class DataError(ValueError):
    """A table, folder, benchmark or manifest that can't be used as it is: it stops at once."""


class ManifestError(DataError):
    """A manifest that breaks the schema."""


class FetchError(DataError):
    """A file that could not be fetched, or that is not the file its manifest promises."""


class DiskFullError(FetchError):
    """The disk has no room; nothing half-written was left."""


class PhotoError(DataError):
    """One photo that can't be read. A run over many photos reports it and goes on."""


class LeakageError(DataError):
    """Train and test share an id, a photographer or a place."""


class DataWarning(UserWarning):
    """Something was left out or doubted, and the message says what."""


class LicenceWarning(UserWarning):
    """The licence of a data set limits what may be done with it."""
