"""What a system tells ``geolab table`` about one fold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Cost:
    """What a system cost to train.

    Attributes
    ----------
    seconds : float
        Of all networks it needs.
    n_parameters : int
        Of the networks that an answer needs.
    """

    seconds: float
    n_parameters: int


@dataclass(frozen=True)
class Answered:
    """Answers of one fold, by the names that the table prints.

    Attributes
    ----------
    points : dict of str to ndarray, shape (Q, 2)
        Degrees; NaN for a query that could not be read. The last entry is the main one.
    seconds : dict of str to float
        Training and answering.
    failures : dict of str to str
        Query id to reason.
    costs : dict of str to Cost
        For systems that are trained.
    notes : dict of str to str
        What could not be asked, and why.
    """

    points: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
