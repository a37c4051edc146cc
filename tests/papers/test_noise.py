"""Noise of a share: albums widen it as the closed form says."""

from __future__ import annotations

import numpy as np
import pytest

from geolab.papers.counts import half_width
from geolab.papers.noise import album_sizes, design_effect, simulated_shares


@pytest.mark.parametrize(("n", "k", "largest"), [(2997, 198, 235), (237, 231, 2), (100, 2, 60)])
def test_sizes_are_what_was_asked_for(n, k, largest):
    sizes = album_sizes(n, k, largest)
    assert (sizes.sum(), len(sizes), sizes[0]) == (n, k, largest)
    assert sizes.min() >= 1
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize(("n", "k", "largest"), [(100, 10, 9), (100, 10, 95)])
def test_impossible_sizes_are_refused(n, k, largest):
    with pytest.raises(ValueError, match="no 10 albums"):
        album_sizes(n, k, largest)


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("share", [5.0, 50.0])
def test_simulation_agrees_with_the_closed_form(rho, share):
    sizes = album_sizes(2997, 198, 235)
    drawn = simulated_shares(sizes, share, rho, n_draws=4000)
    wanted = half_width(share, 2997) * design_effect(sizes, rho) ** 0.5
    assert 1.96 * drawn.std() == pytest.approx(wanted, rel=0.05)
    assert drawn.mean() == pytest.approx(share, abs=4 * drawn.std() / 4000**0.5)
