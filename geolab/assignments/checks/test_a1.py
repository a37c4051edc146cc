"""Checks of assignment 1, first half: vectors and distances."""

from __future__ import annotations

import numpy as np
import pytest

from geolab import sphere
from geolab.assignments import expect
from geolab.assignments.checks import pictures
from geolab.assignments.checks.faults_a1 import R, haversine, latlon_of, unit
from geolab.assignments.diagnosis import diagnose
from geolab.assignments.explain import km, shown, wrong

PLACES = np.array([[0.0, 0.0], [0.0, 90.0], [90.0, 0.0], [-33.87, 151.21], [48.8566, 2.3522]])
NAMES = ("the Gulf of Guinea", "the Indian Ocean", "the north pole", "Sydney", "Paris")
PAIRS = {
    "Paris to Tokyo": ((48.8566, 2.3522), (35.6762, 139.6503)),
    "Sydney to Lima": ((-33.87, 151.21), (-12.05, -77.04)),
    "a degree along the equator": ((0.0, 10.0), (0.0, 11.0)),
    "across the date line in Fiji": ((-17.0, 179.9), (-17.0, -179.9)),
}


def somewhere(n: int, seed: int) -> np.ndarray:
    """Places (n, 2) anywhere on Earth."""
    return sphere.uniform_points(n, seed).numpy()


@pytest.mark.points(5, "a1.to_unit")
def test_unit_of_known_places(answers):
    """Known places."""
    right = unit(PLACES)
    got = expect.numbers(answers.to_unit(PLACES), (5, 3), "to_unit", given="five places (5, 2)")
    row = expect.worst(got, right, atol=1e-6)
    if row is None:
        return
    fault = diagnose(got, right, {
        "takes degrees as radians: convert with np.radians first": unit(PLACES, degrees=False),
        "takes (lon, lat): the latitude comes first": unit(PLACES[:, ::-1]),
        "has sine and cosine of the latitude swapped": unit([90, 0] + PLACES * [-1, 1]),
    })  # fmt: skip
    came = f"{NAMES[row]} came out as {shown(got[row])}, it is {shown(right[row].round(6) + 0.0)}."
    wrong(f"Your to_unit {fault}: {came}" if fault else came, example={"latlon": PLACES[row]})


@pytest.mark.points(3, "a1.to_unit")
def test_unit_of_any_shape(answers, seed):
    """Any shape, length one."""
    one = expect.numbers(answers.to_unit(PLACES[3]), (3,), "to_unit", given="one place (2,)")
    many = somewhere(24, seed).reshape(4, 6, 2)  # (24, 2) -> (4, 6, 2)
    got = expect.numbers(answers.to_unit(many), (4, 6, 3), "to_unit", given="places (4, 6, 2)")
    length = np.linalg.norm(got, axis=-1)
    if abs(length - 1).max() > 1e-6:
        wrong(f"A unit vector has length 1; yours have lengths up to {length.max():.6g}.")
    if abs(one - unit(PLACES[3])).max() > 1e-6 or abs(got - unit(many)).max() > 1e-6:
        wrong("One place alone, or a table of places, gives other vectors than a list of them: "
              "take entries with `latlon[..., 0]`, not with `latlon[:, 0]`.")  # fmt: skip


@pytest.mark.points(5, "a1.to_latlon")
def test_latlon_of_all_quadrants(answers, seed):
    """Round trip."""
    places = np.concatenate([[[-33.87, 151.21], [40.71, -74.0], [10.0, -170.0]],
                             somewhere(50, seed)])  # fmt: skip
    got = expect.numbers(answers.to_latlon(unit(places)), places.shape, "to_latlon")
    row = expect.worst(got, places, atol=1e-6)
    if row is None:
        return
    fault = diagnose(got, places, {
        "returns radians: convert with np.degrees": np.radians(places),
        "returns (lon, lat): the latitude comes first": places[:, ::-1],
        "takes arctan(y / x), which mixes up opposite quadrants: use np.arctan2(y, x)":
            lambda: latlon_of(unit(places), quotient=True),
        "has the arguments of np.arctan2 swapped: y comes first":
            lambda: latlon_of(unit(places), swapped=True),
        "gives longitudes from 0 to 360: they run from -180 to 180":
            places + [0, 360] * (places[:, 1:] < 0),
    })  # fmt: skip
    came = f"The vector of {shown(places[row])} came back as {shown(got[row])}."
    wrong(f"Your to_latlon {fault}. {came}" if fault else came)


@pytest.mark.points(3, "a1.to_latlon")
def test_latlon_of_any_length(answers, seed):
    """Vectors of any length."""
    places = somewhere(20, seed)
    length = np.random.default_rng(seed).uniform(0.2, 30, (20, 1))
    vectors = unit(places) * length
    got = expect.numbers(answers.to_latlon(vectors), (20, 2), "to_latlon",
                         given="vectors that are not of length 1", finite=False)  # fmt: skip
    bad = ~np.isclose(got, places, atol=1e-6).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        wrong(f"A vector of length {length[row, 0]:.2f} points to {shown(places[row])}; yours "
              f"was {shown(got[row])}. The arcsine of z needs length 1, "
              "np.arctan2(z, np.hypot(x, y)) does not.")  # fmt: skip


@pytest.mark.points(10, "a1.haversine_km")
def test_haversine_of_known_pairs(answers, seed):
    """Known distances."""
    a, b = np.array(list(PAIRS.values())).swapaxes(0, 1)  # (4, 2, 2) -> two of (4, 2)
    a = np.concatenate([a, somewhere(30, 2 * seed + 100)])
    b = np.concatenate([b, somewhere(30, 2 * seed + 101)])
    right = sphere.great_circle_km(a, b, radius_km=R).numpy()
    got = expect.numbers(answers.haversine_km(a, b), (34,), "haversine_km",
                         given="34 pairs", finite=False)  # fmt: skip
    row = expect.worst(got, right, rtol=1e-7)
    if row is None:
        return
    fault = diagnose(got, right, {
        "takes degrees as radians": lambda: haversine(a, b, degrees=False),
        "takes (lon, lat), but the latitude comes first":
            lambda: haversine(a[:, ::-1], b[:, ::-1]),
        "lacks the factor 2 in front of the arcsine": right / 2,
        "returns an angle: multiply by R": right / R,
        "returns metres": right * 1000,
        "lacks the square root": lambda: haversine(a, b, root=False),
        "does not halve the differences inside the sines": lambda: haversine(a, b, halved=False),
        "lacks the cosines of the two latitudes": lambda: haversine(a, b, cosines=False),
    }) or _other_radius(got, right)  # fmt: skip
    name = next(iter(PAIRS)) if fault else (list(PAIRS) + [f"pair {i}" for i in range(30)])[row]
    row = 0 if fault else row
    came = f"{name} came out as {km(got[row])}, it is {km(right[row])}."
    says = f"Your haversine {fault}: {came}" if fault else f"{came[0].upper()}{came[1:]}"
    wrong(says, example={"a": a[row], "b": b[row]})


def _other_radius(got: np.ndarray, right: np.ndarray) -> str | None:
    ratio = got / right
    if np.ptp(ratio) < 1e-9 and 0.98 < ratio[0] < 1.02:
        return f"takes a radius of {R * ratio[0]:.4f} km; here it is R = {R} km"
    return None


@pytest.mark.points(3, "a1.haversine_km")
def test_haversine_of_any_shape(answers, seed):
    """Shapes broadcast."""
    a, b = somewhere(5, seed), somewhere(3, seed + 1)
    right = sphere.great_circle_matrix(a, b, radius_km=R).numpy()
    for x, y, want in [(a, b[0], right[:, 0]), (a[:, None], b, right), (a[0], b[0], right[0, 0])]:
        given = f"shapes {x.shape} and {y.shape}"
        got = expect.numbers(answers.haversine_km(x, y), want.shape, "haversine_km", given=given)
        if not np.allclose(got, want, rtol=1e-6):
            wrong(f"For {given} your distances differ from those of the same places pair by pair: "
                  "take latitudes with `a[..., 0]`, not with `a[:, 0]`.")  # fmt: skip


@pytest.mark.points(4, "a1.haversine_km")
def test_haversine_of_neighbours(answers, seed):
    """Places 10 cm apart."""
    a = np.concatenate([[[48.8566, 2.3522]], somewhere(300, seed)])
    a = a[np.abs(a[:, 0]) < 80]
    b = sphere.destination(a, np.full(len(a), 30.0), np.full(len(a), 1e-4)).numpy()
    right = sphere.great_circle_km(a, b, radius_km=R).numpy()
    got = expect.numbers(answers.haversine_km(a, b), (len(a),), "haversine_km",
                         given="places 10 cm apart", finite=False)  # fmt: skip
    bad = ~(np.abs(got - right) <= 0.01 * right)
    if bad.any():
        row = int(bad.argmax())
        cm = f"{1e5 * got[row]:.3g} cm" if np.isfinite(got[row]) else "nan"
        wrong(f"{bad.mean():.0%} of the places 10 cm apart came out more than 1 % wrong, one of "
              f"them as {cm}. That is what an arccosine does: cos(1e-8) is 1 to all 16 digits. "
              "Use the sines of the half differences and an arcsine.",
              example=f"a = {tuple(a[row].tolist())}\nb = {tuple(b[row].tolist())}",
              figure=lambda: pictures.lost_digits(got * 1e5, right * 1e5, "cm"))  # fmt: skip


@pytest.mark.points(3, "a1.haversine_km")
def test_haversine_of_antipodes(answers, seed):
    """Antipodes."""
    a = somewhere(4000, seed)
    b = np.stack([-a[:, 0], np.where(a[:, 1] > 0, a[:, 1] - 180, a[:, 1] + 180)], axis=1)
    got = expect.numbers(answers.haversine_km(a, b), (4000,), "haversine_km",
                         given="antipodes", finite=False)  # fmt: skip
    bad = ~(np.abs(got - np.pi * R) < 0.01)
    if not bad.any():
        return
    row = int(bad.argmax())
    why = "."
    if np.isnan(got[row]):
        why = ": rounding makes h a little larger than 1, so that 1 - h has no root; np.clip it."
    wrong(f"{bad.sum()} of 4,000 pairs of antipodes came out wrong, one as {km(got[row])}; all are "
          f"{km(np.pi * R)} apart{why}", example={"a": a[row], "b": b[row]})  # fmt: skip


@pytest.mark.points(4, "a1.chord_km")
def test_chord_of_known_pairs(answers, seed):
    """Any two places."""
    a = np.concatenate([PLACES[3:4], somewhere(40, seed + 50)])
    b = np.concatenate([PLACES[4:5], somewhere(40, seed + 60)])
    right = sphere.great_circle_km(a, b, radius_km=R).numpy()
    got = expect.numbers(answers.chord_km(unit(a), unit(b)), (41,), "chord_km", finite=False)
    row = expect.worst(got, right, rtol=1e-7)
    if row is None:
        return
    fault = diagnose(got, right, {
        "returns the chord, which runs through the Earth": R * np.linalg.norm(
            unit(a) - unit(b), axis=1),
        "lacks the factor 2": right / 2,
        "returns an angle: multiply by R": right / R,
        "has the two chords swapped: |u - v| comes first": np.pi * R - right,
        "takes both chords squared": lambda: 2 * R * np.arctan(np.tan(right / 2 / R) ** 2),
        "returns degrees": np.degrees(right / R),
    }) or _other_radius(got, right)  # fmt: skip
    row = 0 if fault else row
    came = f"{shown(a[row])} to {shown(b[row])} came out as {km(got[row])}, it is {km(right[row])}."
    wrong(f"Your chord_km {fault}: {came}" if fault else came)


@pytest.mark.points(5, "a1.chord_km")
def test_chord_of_neighbours_in_float32(answers, seed):
    """Neighbours in float32."""
    a = somewhere(500, seed)
    b = sphere.destination(a, np.full(500, 77.0), np.full(500, 0.8)).numpy()
    u, v = unit(a).astype(np.float32), unit(b).astype(np.float32)
    got = expect.numbers(answers.chord_km(u, v), (500,), "chord_km", given="float32", finite=False)
    bad = ~(np.abs(got - 0.8) < 0.01)
    if bad.any():
        row = int(bad.argmax())
        wrong(f"{bad.mean():.0%} of the pairs 0.8 km apart came out more than 10 m wrong in "
              f"float32, one as {km(got[row])}: an arccosine, or a product u·v, has no digits left "
              "near 1. The chord |u - v| keeps them.",
              figure=lambda: pictures.lost_digits(got, np.full(500, 0.8), "km"))  # fmt: skip


@pytest.mark.points(5, "a1.chord_km")
def test_chord_of_antipodes_in_float32(answers, seed):
    """Antipodes in float32."""
    a = somewhere(500, seed)
    b = sphere.destination(a, np.full(500, 77.0), np.full(500, 0.8)).numpy()
    u, v = unit(a).astype(np.float32), -unit(b).astype(np.float32)
    got = expect.numbers(answers.chord_km(u, v), (500,), "chord_km", given="float32", finite=False)
    bad = ~(np.abs(got - (np.pi * R - 0.8)) < 0.05)
    if bad.any():
        row = int(bad.argmax())
        wrong(f"{bad.mean():.0%} of the pairs on opposite sides of the Earth came out more than "
              f"50 m wrong in float32, one as {got[row]:,.2f} km instead of {np.pi * R - 0.8:,.2f} "
              "km: there |u - v| is flat, and its arcsine has lost the digits that |u + v| has. "
              "Use both in arctan2.")  # fmt: skip
