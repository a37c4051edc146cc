"""Checks of assignment 3: smoothed labels, their loss and gradient, blocks, head, answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from geolab import kernels, sphere
from geolab.assignments import expect
from geolab.assignments.allocation import large_arrays
from geolab.assignments.checks import faults_a3 as faults
from geolab.assignments.diagnosis import diagnose
from geolab.assignments.explain import km, wrong

TAU = 75.0
ALIKE = {"rtol": 1e-4, "atol": 1e-7}


@pytest.mark.points(8, "a3.smoothed_targets")
def test_target_values(answers, seed):
    """Labels of known places, not normalised."""
    photos, centres = faults.places(seed, 6, 40)
    photos[0], centres[:3] = torch.zeros(2), torch.tensor([[0, 0.2], [0, 1.2], [0, -60.0]])
    right = kernels.smoothed_targets(photos, centres, TAU, normalise=False)
    raw = answers.smoothed_targets(photos, centres, TAU, normalise=False)
    got = expect.numbers(raw, (6, 40), "smoothed_targets", given="6 photos, 40 cells")
    if expect.worst(got, right.numpy(), atol=1e-5) is not None:
        said = f"{right[0, 1]:.3f}; yours are {got[0, 0]:.3g} and {got[0, 1]:.3g}."
        known = (
            f"For a photo at (0, 0), tau 75 km, cells 22 and 133 km away have labels 1 and {said}"
        )
        wrong(diagnose(got, right, faults.of_targets(photos, centres, TAU), **ALIKE) or known)


@pytest.mark.points(7, "a3.smoothed_targets")
def test_target_of_a_remote_photo(answers, seed):
    """A photo far from every cell."""
    _, centres = faults.places(seed, 1, 20)
    ship = torch.stack([-centres[0, 0], (centres[0, 1] + 360) % 360 - 180]).reshape(1, 2)
    right = kernels.smoothed_targets(ship, centres, 10.0).numpy()
    raw = answers.smoothed_targets(ship, centres, 10.0)
    got = expect.numbers(raw, (1, 20), "smoothed_targets", finite=False)
    if not np.isfinite(got).all() or got.sum() == 0:
        near = float(sphere.great_circle_matrix(ship, centres).min())
        wrong(
            f"For a photo {km(near)} from the nearest cell (tau 10 km) every label is "
            f"exp(-{near / 10:.0f}) = 0, and the row becomes {got[0, 0]:.3g}: take the smallest "
            "distance off before `exp`.",
            example={"photo": ship[0], "a cell": centres[0]},
        )
    if expect.worst(got, right, atol=1e-6) is not None:
        said = f"{got.max():.3g}; it is {right.max():.3g}."
        wrong(f"For a photo far from every cell your largest label is {said}")


@pytest.mark.points(7, "a3.smoothed_targets")
def test_target_rows(answers, seed):
    """Normalised rows, in float64."""
    photos, centres = faults.places(seed, 5, 30)
    raw = answers.smoothed_targets(photos, centres, 300.0)
    got = expect.numbers(raw, (5, 30), "smoothed_targets", given="5 photos, 30 cells")
    right = kernels.smoothed_targets(photos, centres, 300.0).numpy()
    if expect.worst(got, right, atol=1e-6) is not None:
        free = kernels.smoothed_targets(photos, centres, 300.0, normalise=False)
        sums = ", ".join(f"{total:.3g}" for total in got.sum(1))
        said = f"Normalised labels are wrong; their rows sum to {sums}."
        wrong(diagnose(got, right, faults.of_rows(free), **ALIKE) or said)
    if "64" not in str(raw.dtype):
        wrong(f"Labels come in {raw.dtype}; the docstring promises float64.")


@pytest.mark.points(7, "a3.cross_entropy")
def test_loss_value(answers, seed):
    """Loss of ordinary logits, labels that do not sum to 1."""
    z, y = faults.logits_and_labels(seed, 6, 9)
    right = F.cross_entropy(z, y).item()
    got = expect.numbers(answers.cross_entropy(z, y), (), "cross_entropy", finite=False)
    if not abs(got - right) < 1e-6 * abs(right):
        said = f"{right:.6g} for 6 photos and 9 cells; yours is {float(got):.6g}."
        wrong(diagnose(got, right, faults.of_loss(z, y), **ALIKE) or f"The loss must be {said}")


@pytest.mark.points(7, "a3.cross_entropy")
@pytest.mark.parametrize(
    ("logits", "reason"),
    [
        (
            [[1000.0, 998.0, 950.0]],
            "exp(1000) is infinite: subtract the largest logit of the row before `exp`.",
        ),
        (
            [[0.0, -300.0, -900.0]],
            "a probability of exp(-300) is 0 in float32, and its logarithm -infinity: write log p "
            "as a difference, and never take the logarithm of the softmax.",
        ),
    ],
)
def test_loss_of_large_logits(answers, logits, reason):
    """Loss of logits of hundreds, in float32."""
    z, y = torch.tensor(logits), torch.tensor([[0.5, 0.3, 0.2]])
    got = float(expect.numbers(answers.cross_entropy(z, y), (), "cross_entropy", finite=False))
    right = F.cross_entropy(z, y).item()
    if not abs(got - right) < 1e-4 * right:
        said = f"For one row of large logits the loss comes out as {got:.4g}, not {right:.4g}:"
        wrong(f"{said} {reason}", example={"logits": z[0], "labels": y[0]})


@pytest.mark.points(7, "a3.gradient")
def test_gradient_values(answers, seed):
    """Gradient of normalised labels, against autograd."""
    z, y = faults.logits_and_labels(seed, 6, 9)
    _compare_gradient(answers.gradient, z, y / y.sum(1, keepdim=True), "labels that sum to 1")


@pytest.mark.points(7, "a3.gradient")
def test_gradient_of_the_papers_labels(answers, seed):
    """Gradient of labels that do not sum to 1, and of large logits."""
    z, y = faults.logits_and_labels(seed, 6, 9)
    _compare_gradient(answers.gradient, z, y, f"a row of labels that sums to {y[0].sum():.2f}")
    _compare_gradient(answers.gradient, z.float() * 300, y.float(), "logits of several hundred")


def _compare_gradient(gradient: Callable, z: Tensor, y: Tensor, given: str) -> None:
    asked = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(asked, y), asked)
    with torch.inference_mode():
        try:
            value = gradient(z.clone(), y.clone())
        except RuntimeError as error:
            if not re.search("requires? grad|[Ii]nference", str(error)):
                raise
            wrong("gradient asks autograd; write the formula that you derived on paper.")
        got = expect.numbers(value, tuple(z.shape), "gradient", given=given)
    if (row := expect.worst(got, slope.double().numpy(), atol=1e-5)) is not None:
        example = {"logits": z[row], "labels": y[row], "yours": got[row], "autograd": slope[row]}
        said = f"With {given} the gradient differs from autograd's."
        fault = diagnose(got, slope, faults.of_gradient(z, y, slope), **ALIKE)
        wrong(fault or said, example=example)


@pytest.mark.points(8, "a3.blocked_loss")
def test_blocks(answers, seed):
    """Blocks that go up, one row at a time, and one block for all."""
    for n, rows in ((24, 8), (5, 1), (6, 50)):
        _compare_blocks(answers.blocked_loss, seed, n, rows)


@pytest.mark.points(4, "a3.blocked_loss")
def test_short_last_block(answers, seed):
    """21 photos in blocks of 8: the last block has 5."""
    _compare_blocks(answers.blocked_loss, seed, 21, 8)


def _compare_blocks(blocked_loss: Callable, seed: int, n: int, rows: int) -> None:
    z, photos, centres = faults.many_logits(seed, n, 30)
    loss, grad = _pair(
        blocked_loss(z, photos, centres, TAU, rows), "blocked_loss", "loss, gradient"
    )
    given = f"{n} photos, rows={rows}"
    loss = expect.numbers(loss, (), "blocked_loss", given=given)
    grad = expect.numbers(grad, (n, 30), "blocked_loss", given=given, finite=False)
    y = kernels.smoothed_targets(photos, centres, TAU)
    each = -(y * z.double().log_softmax(1)).sum(1)  # (n,)
    if abs(loss - each.mean().item()) > 1e-4 * each.mean():
        said = f"For {given} the loss is {each.mean():.5g}; yours is {float(loss):.5g}."
        wrong(diagnose(loss, each.mean(), faults.of_blocks(each, rows), **ALIKE) or said)
    slope = ((z.double().softmax(1) - y) / n).numpy()
    if (row := expect.worst(grad, slope, atol=1e-6)) is not None:
        ratio = np.linalg.norm(grad[row]) / np.linalg.norm(slope[row])
        said = f"The loss is right, but for {given} row {row} of the gradient is"
        if np.isclose(ratio, [n / min(rows, n), n], atol=1e-3).any():
            wrong(f"{said} {ratio:.3g} times too large: divide by all {n} photos.")
        wrong(f"{said} wrong.", example={"yours": grad[row], "right": slope[row]})


def _pair(value: object, name: str, what: str) -> tuple:
    if not (isinstance(value, tuple | list) and len(value) == 2):
        wrong(f"{name} must return a pair ({what}), not {type(value).__name__}.")
    return tuple(value)


@pytest.mark.points(10, "a3.blocked_loss")
def test_memory(answers, seed):
    """400 photos, 1,000 cells: no whole matrix but the gradient."""
    n, n_cells, rows = 400, 1000, 32
    given = faults.many_logits(seed, n, n_cells)
    (_, grad), made = large_arrays(
        lambda: _pair(answers.blocked_loss(*given, TAU, rows), "blocked_loss", "loss, gradient"),
        4 * rows * n_cells,
        given,
    )
    limit = 4 * n * n_cells
    torch_bytes = sum(each.n_bytes for each in made if each.dtype != "numpy")
    if torch_bytes > limit or any(each.n_bytes > 1.5 * limit for each in made):
        others = f" and {len(made) - 1} more" * (len(made) > 1)
        wrong(
            f"With rows={rows} nothing may have more than 4 x {rows} x {n_cells:,} numbers but the "
            f"gradient in float32 ({limit / 1e6:.1f} MB); yours makes {made[0]}{others}.",
            example="\n".join(str(each) for each in made[:5]),
        )
    z, photos, centres = given
    slope = (z.double().softmax(1) - kernels.smoothed_targets(photos, centres, TAU)) / n
    got = expect.numbers(grad, (n, n_cells), "blocked_loss", finite=False)
    if expect.worst(got, slope.numpy(), atol=1e-6) is not None:
        wrong(f"The memory is small, but for {n} photos, rows={rows} the gradient is wrong.")


@pytest.mark.points(14, "a3.train_head")
def test_head(answers, seed):
    """A head for a toy world: its weights after 60 steps."""
    emb, photos, centres = faults.toy_photos(seed)
    y, steps, lr = kernels.smoothed_targets(photos, centres, 300.0).float(), 60, 0.2
    got = answers.train_head(emb.clone(), photos, centres, 300.0, steps, lr)
    weight, bias = _pair(got, "train_head", "weight, bias")
    weight = expect.numbers(weight, (12, 5), "train_head", finite=False)
    bias = expect.numbers(bias, (12,), "train_head", finite=False)
    got, right = np.column_stack([weight, bias]), faults.descended(emb, y, steps, lr)
    if not np.allclose(got, right, rtol=1e-2, atol=2e-3):
        yours, least = (
            F.cross_entropy(emb @ w[:, :-1].T + w[:, -1], y).item()
            for w in (torch.from_numpy(each).float() for each in (got, right))
        )
        said = f"log 12 = {math.log(12):.4f} to {least:.4f}; yours ends at {yours:.4f}."
        known = f"{steps} steps of length {lr}, from zeros, bring the loss from {said}"
        wrong(diagnose(got, right, faults.of_head(emb, y, steps, lr), **ALIKE) or known)


@pytest.mark.points(8, "a3.answer")
def test_crowd_against_lonely_cell(answers, seed):
    """A crowd of cells against a lonely one."""
    town, _ = faults.places(seed, 1, 1)
    crowd = town + torch.from_numpy(np.random.default_rng(seed).uniform(-0.5, 0.5, (30, 2)))
    centres = torch.cat([crowd, sphere.destination(town, [90.0], [5000.0])])
    expected = kernels.smoothed_targets(centres, centres, 300.0)
    label = 0.6 * expected[:30].mean(0) + 0.4 * expected[30]
    got = expect.numbers(answers.answer(label.log()[None], centres, 300.0), (1, 2), "answer")
    away = float(sphere.great_circle_km(got[0], town[0]))
    if away > 500:
        lonely = np.allclose(got[0], centres[30], atol=1e-3)
        where = "the lonely cell" if lonely else f"a place {km(away)} off"
        wrong(
            "60 % of the photos with these logits come from a crowd of 30 cells that share their "
            f"labels, 40 % from a lonely cell; you answer {where}: multiply each probability by "
            "its cell's crowding (add its logarithm to the logit), then take the largest."
        )
    counted = label * torch.exp(-sphere.great_circle_matrix(centres, centres) / 300.0).sum(1)
    best = centres[counted.argmax()].numpy()
    if expect.worst(got, best[None], atol=1e-4) is not None:
        said = "You find the crowd, but not the cell with the largest product."
        wrong(said, example={"yours": got[0], "right": best})


@pytest.mark.points(6, "a3.answer")
def test_plain_answers(answers, seed):
    """Even cells, logits of -1,000, and equals."""
    centres = sphere.fibonacci_grid(50)
    z = torch.from_numpy(np.random.default_rng(seed).normal(0, 2, (8, 50))).float()
    z[4:] -= 1000.0
    z[5, [7, 20, 31]] = -900.0
    got = expect.numbers(answers.answer(z, centres, 1.0), (8, 2), "answer", given="8 photos")
    right = centres[z.argmax(1)]
    right[5] = centres[7]
    if (row := expect.worst(got, right.numpy(), atol=1e-4)) is None:
        return
    suspects = {"You take the least probable cell: argmin for argmax.": centres[z.argmin(1)]}
    said = "Where cells are 1,000 km apart and tau is 1 km, the most probable one has to win."
    if row >= 4:
        said = (
            "With logits near -1,000 the answer changes: exp(-1000) is 0 for every cell. Compare "
            "logarithms, or subtract the largest logit first."
        )
    if row == 5 and np.isclose(got[5], centres[[20, 31]], atol=1e-4).all(1).any():
        said = "Of equal cells the first one has to win."
    fault = diagnose(got, right, suspects, **ALIKE)
    wrong(fault or said, example={"yours": got[row], "right": right[row]})
