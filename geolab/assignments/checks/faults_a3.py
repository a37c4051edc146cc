"""Toy worlds of assignment 3, and what its common faults would give on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab import kernels, sphere

Faults = dict[str, Any]


def places(seed: int, n: int, n_cells: int) -> tuple[Tensor, Tensor]:
    """Photos (n, 2) and centres (n_cells, 2), both within some hundred km of one place."""
    rng = np.random.default_rng(seed)
    middle = np.array([rng.uniform(-60, 60), rng.uniform(-150, 150)])
    photos, centres = (middle + rng.uniform(-4, 4, (count, 2)) for count in (n, n_cells))
    return torch.from_numpy(photos), torch.from_numpy(centres)


def logits_and_labels(seed: int, n: int, n_cells: int) -> tuple[Tensor, Tensor]:
    """Ordinary logits, and labels whose rows do not sum to 1; both (n, n_cells) float64."""
    z = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 2, (n, n_cells)))
    return z, kernels.smoothed_targets(*places(seed, n, n_cells), 300.0, normalise=False)


def many_logits(seed: int, n: int, n_cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits in float32, photos and centres; later photos lose more, so that blocks differ."""
    z = torch.from_numpy(np.random.default_rng(seed + 2).normal(0, 2, (n, n_cells))).float()
    return (z * torch.linspace(0.5, 3, n)[:, None], *places(seed, n, n_cells))


def toy_photos(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (200, 5) whose mean is not zero, places and centres (12, 2)."""
    photos, centres = places(seed, 200, 12)
    apart = photos - photos.mean(0)
    noise = torch.from_numpy(np.random.default_rng(seed + 3).normal(0, 0.5, (200, 5)))
    emb = torch.cat([apart, apart.sin(), torch.ones(200, 1)], dim=1) + noise
    return emb.float(), photos, centres


def of_targets(photos: Tensor, centres: Tensor, tau: float) -> Faults:
    """Labels that are not normalised."""
    away = sphere.great_circle_matrix(photos, centres)
    own = sphere.great_circle_matrix(centres[away.argmin(1)], centres)
    swapped = sphere.great_circle_matrix(*(p.flip(1).clamp(-90, 90) for p in (photos, centres)))
    extra, over, degrees = (
        km - km.amin(1, keepdim=True) for km in (away, swapped, _trig_of_degrees(photos, centres))
    )
    right = torch.exp(-extra / tau)
    return {
        "The smallest distance of the row is not taken off: the nearest cell must have label 1.": (
            torch.exp(-away / tau)
        ),
        "Distances run from the nearest cell's centre to the other centres; they have to run from "
        "the photo, which is not at a centre.": torch.exp(-own / tau),
        "Degrees go into sin and cos as if they were radians: 1 degree at the equator is 111 km.": (
            torch.exp(-degrees / tau)
        ),
        "Latitude and longitude are swapped.": torch.exp(-over / tau),
        "The extra distance is multiplied by tau; divide.": torch.exp(-extra * tau),
        "The label grows with distance: a minus sign is missing.": torch.exp(extra / tau),
        "This is a bell curve, of the squared distance; the label falls off with the distance "
        "itself.": torch.exp(-((extra / tau) ** 2)),
        "Rows are normalised although normalise=False was asked for.": right
        / right.sum(1)[:, None],
    }


def _trig_of_degrees(a: Tensor, b: Tensor) -> Tensor:
    """Distances (N, M) in km of one who forgets to turn degrees into radians."""
    lat, lon = torch.cat([a, b]).unbind(1)
    xyz = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=1)
    return sphere.chord_to_km(xyz[: len(a), None], xyz[None, len(a) :])


def of_rows(free: Tensor) -> Faults:
    """Normalised labels, from those that are not."""
    return {
        "By default (normalise=True) each row has to be divided by its sum; the first row of yours "
        f"sums to {free[0].sum():.3g}.": free,
        "Labels are divided by the sum of the whole matrix; each photo's row has its own sum.": (
            free / free.sum()
        ),
        "Columns sum to 1; it has to be the rows, one for each photo (dim=1).": free / free.sum(0),
        "Labels go through a softmax; divide them by their sum.": torch.softmax(free, 1),
    }


def of_loss(z: Tensor, y: Tensor) -> Faults:
    """Cross-entropy."""
    right = F.cross_entropy(z, y).item()
    return {
        "The mean runs over photos and cells; sum over the cells, then take the mean over the "
        "photos.": right / z.shape[1],
        "The losses of the photos are summed; take their mean.": right * len(z),
        "The sign is wrong: log p is negative, a loss is not.": -right,
        "The softmax is not normalised: log p_i is z_i minus the logarithm of the sum of "
        "exp(z_j), and that sum is missing.": -(y * z).sum(1).mean(),
        "The labels are divided by their sums first; a row that sums to 3 counts three times.": (
            F.cross_entropy(z, y / y.sum(1, keepdim=True))
        ),
        "The softmax runs over the photos (dim=0); it has to run over the cells (dim=1).": (
            -(y * z.log_softmax(0)).sum(1).mean()
        ),
        "The probability itself is summed; take its logarithm.": -(y * z.softmax(1)).sum(1).mean(),
        "The logarithm has base 2; take the natural one.": right / math.log(2),
    }


def of_gradient(z: Tensor, y: Tensor, slope: Tensor) -> Faults:
    """Gradient; `slope` is autograd's."""
    p, n = z.softmax(1), len(z)
    return {
        "The loss is a mean over photos: the gradient has to be divided by B.": slope * n,
        "The sign is turned: yours climbs.": -slope,
        "p - y is right only where labels sum to 1; elsewhere the row's sum multiplies p.": (
            (p - y) / n
        ),
        "The label is not subtracted.": y.sum(1, keepdim=True) * p / n,
        "The gradient is divided by C too; the loss sums over the cells.": slope / z.shape[1],
    }


def of_blocks(each: Tensor, rows: int) -> Faults:
    """Loss in blocks, from the loss (n,) of each photo."""
    n, full = len(each), len(each) // rows * rows
    means = torch.stack([block.mean() for block in each.split(rows)])
    lost = f"The last block is left out: {n} photos in blocks of {rows} end with one of {n - full}."
    return {
        lost: each[:full].sum() / n,
        lost + " ": each[:full].mean(),
        "The mean of the blocks' means counts the photos of the shorter last block too much; weigh "
        "each block by its photos.": means.mean(),
        "The blocks' means are summed; the loss is a mean over all photos.": means.sum(),
        "The losses are summed; take the mean over all photos.": each.sum(),
    }


def of_head(emb: Tensor, y: Tensor, steps: int, lr: float) -> Faults:
    """Weight and bias side by side, (C, D + 1)."""
    one_hot = (y == y.amax(1, keepdim=True)).float()
    n = len(emb)
    return {
        "The steps go uphill: subtract the gradient.": descended(emb, y, steps, -lr),
        "The gradient is not divided by the number of photos, so the steps are that many times "
        "too long.": descended(emb, y, steps, lr * n),
        "The bias stays at zero: it has a gradient too, the sum over the photos.": (
            descended(emb, y, steps, lr, bias_rate=0)
        ),
        "The bias takes the mean of a gradient that is divided by the photos already: sum it.": (
            descended(emb, y, steps, lr, bias_rate=1 / n)
        ),
        "These are the weights of one-hot labels; use your smoothed ones.": (
            descended(emb, one_hot, steps, lr)
        ),
        "Your head makes one step too few or too many.": descended(emb, y, steps - 1, lr),
    }


def descended(emb: Tensor, y: Tensor, steps: int, lr: float, bias_rate: float = 1.0) -> np.ndarray:
    """Train by autograd: weight and bias side by side, (C, D + 1)."""
    weight, bias = torch.zeros(y.shape[1], emb.shape[1]), torch.zeros(y.shape[1])
    for _ in range(steps):
        weight.requires_grad_(), bias.requires_grad_()
        slopes = torch.autograd.grad(F.cross_entropy(emb @ weight.T + bias, y), (weight, bias))
        weight = weight.detach() - lr * slopes[0]
        bias = bias.detach() - lr * bias_rate * slopes[1]
    return np.column_stack([weight, bias])
