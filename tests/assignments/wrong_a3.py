"""Planted wrong solutions of assignment 3: the answer to one question, and what must be said."""

from __future__ import annotations

WRONG = {
    "no minimum taken off": (
        "a3.smoothed_targets",
        "smallest distance",
        """
def smoothed_targets(latlon, centres, tau_km, normalise=True):
    target = torch.exp(-sphere.great_circle_matrix(latlon.double(), centres.double()) / tau_km)
    return target / target.sum(1, keepdim=True) if normalise else target
""",
    ),
    "from centre to centre": (
        "a3.smoothed_targets",
        "nearest cell's centre",
        """
def smoothed_targets(latlon, centres, tau_km, normalise=True):
    mine = sphere.great_circle_matrix(latlon, centres).argmin(1)
    target = torch.exp(-sphere.great_circle_matrix(centres[mine], centres) / tau_km)
    return target / target.sum(1, keepdim=True) if normalise else target
""",
    ),
    "degrees for radians": (
        "a3.smoothed_targets",
        "radians",
        """
def _hav(a, b):
    (x, s), (y, t) = a[:, None].unbind(-1), b[None].unbind(-1)
    h = ((x - y) / 2).sin() ** 2 + x.cos() * y.cos() * ((s - t) / 2).sin() ** 2
    return 2 * 6371.0088 * h.clamp(0, 1).sqrt().asin()

def smoothed_targets(latlon, centres, tau_km, normalise=True):
    km = _hav(latlon.double(), centres.double())
    target = torch.exp((km.amin(1, keepdim=True) - km) / tau_km)
    return target / target.sum(1, keepdim=True) if normalise else target
""",
    ),
    "rows not normalised": (
        "a3.smoothed_targets",
        "divided by its sum",
        """
def smoothed_targets(latlon, centres, tau_km, normalise=True):
    km = sphere.great_circle_matrix(latlon, centres)
    return torch.exp((km.amin(1, keepdim=True) - km) / tau_km)
""",
    ),
    "softmax without its sum": (
        "a3.cross_entropy",
        "not normalised",
        """
def cross_entropy(logits, target):
    return -(target * logits.exp().log()).sum(1).mean()
""",
    ),
    "exp without the maximum": (
        "a3.cross_entropy",
        "subtract the largest logit",
        """
def cross_entropy(logits, target):
    return (target * (logits.exp().sum(1, keepdim=True).log() - logits)).sum(1).mean()
""",
    ),
    "log of the softmax": (
        "a3.cross_entropy",
        "logarithm of the softmax",
        """
def cross_entropy(logits, target):
    return -(target * logits.softmax(1).log()).sum(1).mean()
""",
    ),
    "mean over cells": (
        "a3.cross_entropy",
        "mean runs over photos and cells",
        """
def cross_entropy(logits, target):
    return -(target * logits.log_softmax(1)).mean()
""",
    ),
    "p - y": (
        "a3.gradient",
        "p - y is right only",
        """
def gradient(logits, target):
    return ((logits.softmax(1) - target) / len(logits)).to(logits.dtype)
""",
    ),
    "gradient not divided by B": (
        "a3.gradient",
        "divided by B",
        """
def gradient(logits, target):
    return target.sum(1, keepdim=True) * logits.softmax(1) - target
""",
    ),
    "autograd": (
        "a3.gradient",
        "asks autograd",
        """
def gradient(logits, target):
    with torch.enable_grad():
        z = logits.clone().requires_grad_()
        return torch.autograd.grad(cross_entropy(z, target), z)[0]
""",
    ),
    "whole float64 matrix": (
        "a3.blocked_loss",
        "yours makes 400 x 1,000 x 3 float64",
        """
def blocked_loss(logits, latlon, centres, tau_km, rows=64):
    target = smoothed_targets(latlon, centres, tau_km)
    return cross_entropy(logits.double(), target), gradient(logits, target)
""",
    ),
    "whole matrix in numpy": (
        "a3.blocked_loss",
        "numpy",
        """
def blocked_loss(logits, latlon, centres, tau_km, rows=64):
    import numpy as np
    whole = np.empty(tuple(logits.shape))
    grad, loss, n = torch.empty_like(logits), 0.0, len(logits)
    for i in range(0, n, rows):
        z, y = logits[i : i + rows], smoothed_targets(latlon[i : i + rows], centres, tau_km)
        whole[i : i + rows] = y.numpy()
        loss += float(cross_entropy(z, y)) * len(z) / n
        grad[i : i + rows] = gradient(z, y) * (len(z) / n)
    return torch.tensor(loss), grad
""",
    ),
    "mean of means": (
        "a3.blocked_loss",
        "blocks' means",
        """
def blocked_loss(logits, latlon, centres, tau_km, rows=64):
    grad, losses, n = torch.empty_like(logits), [], len(logits)
    for i in range(0, n, rows):
        z, y = logits[i : i + rows], smoothed_targets(latlon[i : i + rows], centres, tau_km)
        losses.append(cross_entropy(z, y))
        grad[i : i + rows] = gradient(z, y) * (len(z) / n)
    return torch.stack(losses).mean(), grad
""",
    ),
    "last block dropped": (
        "a3.blocked_loss",
        "last block is left out",
        """
def blocked_loss(logits, latlon, centres, tau_km, rows=64):
    grad, loss, n = torch.zeros_like(logits), 0.0, len(logits)
    for b in range(n // rows if n >= rows else 1):
        some = slice(b * rows, (b + 1) * rows)
        z, y = logits[some], smoothed_targets(latlon[some], centres, tau_km)
        loss = loss + cross_entropy(z, y) * len(z) / n
        grad[some] = gradient(z, y) * (len(z) / n)
    return loss, grad
""",
    ),
    "block's gradient": (
        "a3.blocked_loss",
        "times too large: divide by all 24 photos",
        """
def blocked_loss(logits, latlon, centres, tau_km, rows=64):
    grad, loss, n = torch.zeros_like(logits), 0.0, len(logits)
    for i in range(0, n, rows):
        z, y = logits[i : i + rows], smoothed_targets(latlon[i : i + rows], centres, tau_km)
        loss = loss + cross_entropy(z, y) * len(z) / n
        grad[i : i + rows] = gradient(z, y)
    return loss, grad
""",
    ),
    "uphill": (
        "a3.train_head",
        "uphill",
        """
def train_head(emb, latlon, centres, tau_km, steps=150, lr=0.5):
    weight, bias = torch.zeros(len(centres), emb.shape[1]), torch.zeros(len(centres))
    target = smoothed_targets(latlon, centres, tau_km).to(emb.dtype)
    for _ in range(steps):
        slope = gradient(emb @ weight.T + bias, target)
        weight, bias = weight + lr * slope.T @ emb, bias + lr * slope.sum(0)
    return weight, bias
""",
    ),
    "bias forgotten": (
        "a3.train_head",
        "bias stays at zero",
        """
def train_head(emb, latlon, centres, tau_km, steps=150, lr=0.5):
    weight, bias = torch.zeros(len(centres), emb.shape[1]), torch.zeros(len(centres))
    target = smoothed_targets(latlon, centres, tau_km).to(emb.dtype)
    for _ in range(steps):
        weight = weight - lr * gradient(emb @ weight.T, target).T @ emb
    return weight, bias
""",
    ),
    "plain argmax": (
        "a3.answer",
        "the lonely cell",
        """
def answer(logits, centres, tau_km):
    return centres[logits.argmax(1)]
""",
    ),
    "argmin for argmax": (
        "a3.answer",
        "argmin for argmax",
        """
def answer(logits, centres, tau_km):
    crowding = torch.exp(-sphere.great_circle_matrix(centres, centres) / tau_km).sum(1)
    return centres[(logits + crowding.log()).argmin(1)]
""",
    ),
    "softmax that underflows": (
        "a3.answer",
        "logits near -1,000",
        """
def answer(logits, centres, tau_km):
    crowding = torch.exp(-sphere.great_circle_matrix(centres, centres) / tau_km).sum(1)
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return centres[(p * crowding).argmax(1)]
""",
    ),
}
