"""A small synthetic climate: what grows, what lies on the ground, how warm it is.

It is honest about being a sketch. Latitude gives the base; `anchors.csv` adds the large known
departures (deserts, wet coasts, high ground, inland cold, warm currents, dry summers), each a
Gaussian cap around a centre; a smooth random field fixed by position breaks the smooth lines.
The classes are named after Koeppen's and follow his order of tests, with rounded thresholds.
Nothing here is measured: never quote these values as the climate of a real place.

Units: degrees Celsius, millimetres a year, metres.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from geolab.data.tinyearth.draws import field

EARTH_KM = 6371.0
CLIMATES = (
    "tropical rainforest",
    "tropical monsoon",
    "savanna",
    "hot desert",
    "cold desert",
    "hot steppe",
    "cold steppe",
    "mediterranean",
    "humid subtropical",
    "oceanic",
    "humid continental",
    "subarctic",
    "tundra",
    "ice cap",
)
COLUMNS = (
    "elevation",
    "relief",
    "temperature",
    "amplitude",
    "precipitation",
    "dry_summer",
    "climate",
)


def unit_vectors(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Degrees (N,), (N,) to float64 unit vectors (N, 3), rounded to 1e-9 (6 mm)."""
    phi, lam = np.radians(lat), np.radians(lon)
    xyz = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
    return np.round(xyz, 9)


@lru_cache(maxsize=1)
def _anchors() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Per field name: centres (A, 3), radii in km (A,), values (A,)."""
    table = pd.read_csv(Path(__file__).with_name("anchors.csv"))
    return {
        name: (
            unit_vectors(rows["lat"].to_numpy(float), rows["lon"].to_numpy(float)),
            rows["radius_km"].to_numpy(float),
            rows["value"].to_numpy(float),
        )
        for name, rows in table.groupby("field")
    }


def _bumps(xyz: np.ndarray, name: str, *, peak: bool = False) -> np.ndarray:
    """Sum of a field's Gaussian caps at (N, 3) unit vectors, or the strongest one (`peak`)."""
    centres, radius_km, value = _anchors()[name]
    total = np.zeros(len(xyz))
    for centre, radius, height in zip(centres, radius_km, value, strict=True):
        chord_km = EARTH_KM * np.sqrt(((xyz - centre) ** 2).sum(-1))  # (N,)
        bump = height * np.exp(-((chord_km / radius) ** 2))
        total = np.maximum(total, bump) if peak else total + bump
    return total


def climate_at(lat: np.ndarray, lon: np.ndarray) -> dict[str, np.ndarray]:
    """Synthetic climate of points.

    Parameters
    ----------
    lat, lon : ndarray, shape (N,)
        Degrees.

    Returns
    -------
    dict of ndarray, each of shape (N,)
        ``elevation`` (m), ``relief`` (0 flat to 1 alpine), ``temperature`` (annual mean, C),
        ``amplitude`` (half the range between warmest and coldest month, C), ``precipitation``
        (mm a year), ``dry_summer`` (0 to 1) and ``climate`` (index into `CLIMATES`). All rounded,
        so that machines agree.

    Examples
    --------
    >>> CLIMATES[climate_at(np.array([23.0]), np.array([5.0]))["climate"][0]]
    'hot desert'
    """
    lat, lon = np.asarray(lat, float), np.asarray(lon, float)
    xyz = unit_vectors(lat, lon)
    high = _bumps(xyz, "high", peak=True)
    rough = field(xyz, 300.0, "relief") * 0.6 + field(xyz, 90.0, "relief-fine") * 0.4
    relief = np.clip(np.minimum(high / 1600.0, 0.8) + 1.5 * (rough - 0.55), 0.0, 1.0)
    elevation = np.clip(high * (0.7 + 0.6 * rough) + 450.0 * np.clip(rough - 0.4, 0, 1), 0, 6000)
    inland = _bumps(xyz, "inland", peak=True)
    noise = field(xyz, 500.0, "temperature") - 0.5
    temperature = 27.5 - 34.0 * np.sin(np.radians(lat)) ** 2 - 5.0 * elevation / 1000.0
    temperature += _bumps(xyz, "warm") + 3.0 * noise
    amplitude = 1.0 + np.abs(lat) * 0.2 * (0.68 + 1.1 * inland)
    found = {
        "elevation": np.round(elevation),
        "relief": np.round(relief, 3),
        "temperature": np.round(temperature, 2),
        "amplitude": np.round(amplitude, 2),
        "precipitation": np.round(_rain(xyz, lat)),
        "dry_summer": np.round(_bumps(xyz, "dry_summer", peak=True), 3),
    }
    return {**found, "climate": _classify(found)}


def _rain(xyz: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Millimetres a year at (N, 3) unit vectors: belts of latitude, then anchors, then noise."""
    belts = 420.0 + 1500.0 * np.exp(-((lat / 17.0) ** 2))
    belts += 480.0 * np.exp(-(((np.abs(lat) - 45.0) / 16.0) ** 2))
    dry = np.clip(_bumps(xyz, "dry"), 0.0, 1.1)
    wet = _bumps(xyz, "wet", peak=True)
    noise = field(xyz, 350.0, "rain") - 0.5
    return np.clip(belts * np.exp(1.3 * wet - 3.2 * dry + 0.7 * noise), 5.0, 4500.0)


def _classify(found: dict[str, np.ndarray]) -> np.ndarray:
    """Index into `CLIMATES` (N,), in Koeppen's order: cold summers, drought, then heat."""
    mean, rain = found["temperature"], found["precipitation"]
    warmest, coldest = mean + found["amplitude"], mean - found["amplitude"]
    threshold = np.clip(18.0 * mean + 150.0, 60.0, None)
    hot = mean >= 18.0
    tests = [
        (warmest < 0.0, "ice cap"),
        (warmest < 10.0, "tundra"),
        ((rain < 0.5 * threshold) & hot, "hot desert"),
        (rain < 0.5 * threshold, "cold desert"),
        ((rain < threshold) & hot, "hot steppe"),
        (rain < threshold, "cold steppe"),
        ((coldest >= 18.0) & (rain >= 2100.0), "tropical rainforest"),
        ((coldest >= 18.0) & (rain >= 1500.0), "tropical monsoon"),
        (coldest >= 18.0, "savanna"),
        ((coldest >= -2.0) & (found["dry_summer"] > 0.45), "mediterranean"),
        ((coldest >= -2.0) & (warmest >= 21.0), "humid subtropical"),
        (coldest >= -2.0, "oceanic"),
        (mean >= 2.0, "humid continental"),
    ]
    index = [CLIMATES.index(name) for _, name in tests]
    return np.select([hit for hit, _ in tests], index, CLIMATES.index("subarctic"))


def month_temperature(lat: float, month: int, temperature: float, amplitude: float) -> float:
    """Mean temperature of a month (1 to 12): a cosine that peaks in July north, January south."""
    # Twelve values of the cosine, written out, so that no machine's cosine decides on snow.
    wave = (1.0, 0.866, 0.5, 0.0, -0.5, -0.866, -1.0, -0.866, -0.5, 0.0, 0.5, 0.866)
    sign = 1.0 if lat < 0 else -1.0
    return temperature + sign * amplitude * wave[(month - 1) % 12]
