"""What a system tells ``geolab table`` about one fold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from geolab.claims import Claims, claims_of
from geolab.evaluation import point_of
from geolab.posterior import Posterior


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
    truth : ndarray, shape (Q, 2)
        Where the queries were taken: to judge answers by, never to answer from.
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
    claims : dict of str to Claims
        How sure the answers are, for systems that say more than a point.
    """

    truth: np.ndarray
    points: dict[str, np.ndarray] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Claims] = field(default_factory=dict)

    def say(
        self,
        name: str,
        posterior: Posterior,
        good: Tensor,
        seconds: float,
        *,
        cost: Cost | None = None,
        points: np.ndarray | None = None,
    ) -> None:
        """Note a system's answers.

        Parameters
        ----------
        posterior : Posterior
            Of Q queries.
        good : Tensor of bool, shape (Q,)
            Which queries could be read; the others have no answer.
        seconds : float
            Training and answering.
        cost : Cost, optional
        points : ndarray, shape (Q, 2), optional
            Degrees; the places of most weight if not given.
        """
        points = point_of(posterior) if points is None else points.copy()
        points[~good.numpy()] = np.nan
        self.points[name], self.seconds[name] = points, seconds
        self.claims[name] = claims_of(posterior, points, self.truth)
        if cost is not None:
            self.costs[name] = cost
