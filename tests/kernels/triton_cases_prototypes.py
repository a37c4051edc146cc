"""Interpreter cases of the prototype scores; run by test_prototypes.py in its own process."""

from __future__ import annotations

import pytest
import torch

from geolab.kernels.prototypes import PrototypeTable, prototype_scores, prototype_scores_reference
from tests.kernels.test_prototypes import SHAPES, example


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-3)])
def test_triton_equals_the_loop(shape, dtype, tolerance):
    emb, cells, probs, table = example(*shape)
    table = PrototypeTable(table.vectors.to(dtype), table.offsets)
    args = (emb.to(dtype), cells, probs, table, 1.6)
    got, want = prototype_scores(*args, backend="triton"), prototype_scores_reference(*args)
    torch.testing.assert_close(got.scores, want.scores, rtol=tolerance, atol=tolerance)
    if dtype == torch.float32:
        assert torch.equal(got.winner, want.winner)
        assert torch.equal(got.nearest, want.nearest)
