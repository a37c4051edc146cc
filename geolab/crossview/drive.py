r"""A drive without GPS: a moving camera followed over an aerial map.

A single look may mistake one crossing for another; a car can't jump between them. So what is
believed about the position is kept on the grid of references and moved along:

- **predict**: between two looks the car went at most `reach_m`; belief spreads over all cells
  within that distance, evenly (nothing is known of speed or steering);
- **update**: belief is multiplied by exp(similarity / temperature) of the look and every tile, with
  a floor, so that one wrong look can't rule the truth out.

That is the forward pass of a hidden Markov model on a grid (Rabiner, 1989; for robots "grid
localisation", Thrun et al., Probabilistic Robotics, 2005, chapter 8). `smoothed` is forward and
backward: what one knows afterwards. Similarities are Hamming or cosine, whatever the codes are.
`particle_filter` is the same without a grid: samples of position and velocity, drawn again by
weight; it costs the number of samples, not the size of the map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """References on a square grid.

    Attributes
    ----------
    side : int
        Cells a side.
    spacing_m : float
        Metres between them.
    corner_m : tuple of float
        East and north of the first, in the town's metres.
    """

    side: int
    spacing_m: float
    corner_m: tuple[float, float]

    def positions(self) -> Tensor:
        """East and north of all cells, float64 (side * side, 2); rows run east, then north."""
        line = torch.arange(self.side, dtype=torch.float64) * self.spacing_m
        north, east = torch.meshgrid(line, line, indexing="ij")
        return torch.stack([east.flatten(), north.flatten()], 1) + torch.tensor(self.corner_m)


@dataclass(frozen=True)
class Filter:
    """How belief moves and how looks count.

    Attributes
    ----------
    reach_m : float
        Farthest way between two looks.
    temperature : float
        Similarity (-1 to 1) over which a look's weight grows by e.
    floor : float
        Share of a look's weight that is spread evenly, 0 to 1.
    """

    reach_m: float = 40.0
    temperature: float = 0.05
    floor: float = 0.02

    def __post_init__(self) -> None:
        if not (self.reach_m > 0 and self.temperature > 0 and 0 <= self.floor < 1):
            raise ValueError(
                f"reach_m and temperature must be positive and floor in [0, 1): {self}"
            )


def drive_route(
    side_m: float, n: int, *, step_m: float = 20.0, margin_m: float = 60.0, seed: int = 0
) -> Tensor:
    """Route of n positions that bends at random and turns back at the edge: float64 (n, 2) metres.

    Raises
    ------
    ValueError
        If the margin leaves no room.
    """
    if side_m <= 2 * margin_m + 2 * step_m:
        raise ValueError(f"a side of {side_m} m leaves no room within margins of {margin_m} m")
    rng = np.random.default_rng(seed)
    low, high = margin_m, side_m - margin_m
    at, heading = rng.uniform(low, high, 2), rng.uniform(0, 2 * np.pi)
    route = [at.copy()]
    for _ in range(n - 1):
        heading += rng.normal(0, 0.15)
        step = step_m * np.array([np.sin(heading), np.cos(heading)])
        for axis in (0, 1):
            if not low <= at[axis] + step[axis] <= high:  # mirrored at the edge
                step[axis] = -step[axis]
                heading = np.arctan2(step[0], step[1])
        at = at + step
        route.append(at.copy())
    return torch.from_numpy(np.array(route))


def follow(similarity: Tensor, grid: Grid, config: Filter | None = None) -> Tensor:
    """Belief after each look, from all looks up to it.

    Parameters
    ----------
    similarity : Tensor, shape (T, side * side)
        Of each look to each reference, at most 1.
    grid : Grid

    Returns
    -------
    Tensor of float64, shape (T, side * side)
        Rows sum to one.

    Raises
    ------
    ValueError
        If the similarities do not fit the grid or are not finite (the look is named).
    """
    config = config or Filter()
    likelihood = _likelihood(similarity, grid, config)
    belief = np.full((grid.side, grid.side), 1 / grid.side**2)
    out = []
    for t, look in enumerate(likelihood):
        moved = _spread(belief, grid, config) if t else belief
        belief = moved * look
        belief = belief / belief.sum()
        out.append(belief.ravel())
    return torch.from_numpy(np.array(out).reshape(len(likelihood), -1))


def smoothed(similarity: Tensor, grid: Grid, config: Filter | None = None) -> Tensor:
    """Belief at each look from all looks, later ones too, (T, side * side): forward, backward."""
    config = config or Filter()
    forward = follow(similarity, grid, config).numpy()
    likelihood = _likelihood(similarity, grid, config)
    behind = np.ones((grid.side, grid.side))
    out = forward.copy()
    for t in range(len(likelihood) - 2, -1, -1):
        behind = _spread(behind * likelihood[t + 1], grid, config)
        behind = behind / behind.sum()
        out[t] = forward[t] * behind.ravel()
        out[t] /= out[t].sum()
    return torch.from_numpy(out)


def belief_mean(belief: Tensor, grid: Grid) -> Tensor:
    """Mean position in metres, float64 (T, 2)."""
    return belief.double() @ grid.positions()


def belief_best(belief: Tensor, grid: Grid) -> Tensor:
    """Position of the most probable cell in metres, float64 (T, 2)."""
    return grid.positions()[belief.argmax(1)]


def particle_filter(
    look: Callable[[int, Tensor], Tensor],
    n_looks: int,
    side_m: float,
    config: Filter | None = None,
    *,
    n: int = 4000,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Follow a camera by samples of its position.

    Parameters
    ----------
    look : callable
        ``(t, positions (n, 2) in metres) -> similarity (n,)`` of look t to the map there.
    n_looks : int
    side_m : float
        Samples start anywhere on the map.

    Returns
    -------
    mean : Tensor of float64, shape (n_looks, 2)
    spread_m : Tensor of float64, shape (n_looks,)
        Root mean square distance of the samples from their mean.
    """
    config = config or Filter()
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, side_m, (n, 2))
    means, spreads = [], []
    for t in range(n_looks):
        if t:
            radius = config.reach_m * np.sqrt(rng.random(n))
            angle = rng.uniform(0, 2 * np.pi, n)
            at = at + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1)
        seen = look(t, torch.from_numpy(at)).double().numpy()
        inside = ((at >= 0) & (at <= side_m)).all(1)
        weight = np.exp((seen - seen.max()) / config.temperature) * inside
        weight = weight / max(weight.sum(), 1e-300)
        weight = (1 - config.floor) * weight + config.floor / n
        means.append(weight @ at)
        spreads.append(np.sqrt(weight @ ((at - means[-1]) ** 2).sum(1)))
        # systematic: one random number, n equal steps through the weights
        steps = (np.arange(n) + rng.random()) / n
        at = at[np.searchsorted(np.cumsum(weight), steps).clip(0, n - 1)]
    return torch.from_numpy(np.array(means)), torch.from_numpy(np.array(spreads))


def _likelihood(similarity: Tensor, grid: Grid, config: Filter) -> np.ndarray:
    if similarity.ndim != 2 or similarity.shape[1] != grid.side**2:
        raise ValueError(
            f"similarities must be (T, {grid.side**2}) for this grid; "
            f"these are {tuple(similarity.shape)}"
        )
    if not torch.isfinite(similarity).all():
        bad = int((~torch.isfinite(similarity)).any(1).nonzero()[0])
        raise ValueError(f"look {bad} has a similarity that is not finite")
    weight = torch.softmax(similarity.double() / config.temperature, 1)
    weight = (1 - config.floor) * weight + config.floor / similarity.shape[1]
    return weight.reshape(-1, grid.side, grid.side).numpy()  # (T, S S) -> (T, S, S)


def _spread(belief: np.ndarray, grid: Grid, config: Filter) -> np.ndarray:
    """Move belief evenly to all cells within reach."""
    reach = max(1, round(config.reach_m / grid.spacing_m))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x**2 + y**2 <= reach**2).astype(float)
    moved = ndimage.convolve(belief, disc / disc.sum(), mode="constant")
    return moved + 1e-12
