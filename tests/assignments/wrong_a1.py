"""Wrong answers to assignment 1, as students give them: question, words of the sentence, code.

Each replaces the function of the solution that has its name.
"""

WRONG = {
    "degrees for radians in to_unit": (
        "to_unit",
        "takes degrees as radians",
        """
def to_unit(latlon):
    lat, lon = latlon[..., 0], latlon[..., 1]
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
""",
    ),
    "lat and lon swapped in to_unit": (
        "to_unit",
        "the latitude comes first",
        """
def to_unit(latlon):
    lon, lat = np.radians(latlon[..., 0]), np.radians(latlon[..., 1])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
""",
    ),
    "one axis only": (
        "to_unit",
        "stopped with IndexError",
        """
def to_unit(latlon):
    lat, lon = np.radians(latlon[:, 0]), np.radians(latlon[:, 1])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
""",
    ),
    "arctan of a quotient": (
        "to_latlon",
        "mixes up opposite quadrants",
        """
def to_latlon(xyz):
    x, y, z = xyz[..., 0], xyz[..., 1], xyz[..., 2]
    return np.degrees(np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan(y / x)], axis=-1))
""",
    ),
    "arctan2 with its arguments swapped": (
        "to_latlon",
        "arguments of np.arctan2 swapped",
        """
def to_latlon(xyz):
    x, y, z = xyz[..., 0], xyz[..., 1], xyz[..., 2]
    return np.degrees(np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(x, y)], axis=-1))
""",
    ),
    "arcsine of z": (
        "to_latlon",
        "needs length 1",
        """
def to_latlon(xyz):
    x, y, z = xyz[..., 0], xyz[..., 1], xyz[..., 2]
    return np.degrees(np.stack([np.arcsin(z), np.arctan2(y, x)], axis=-1))
""",
    ),
    "degrees for radians in haversine": (
        "haversine_km",
        "takes degrees as radians: Paris to Tokyo",
        """
def haversine_km(a, b):
    north = np.sin((b[..., 0] - a[..., 0]) / 2) ** 2
    east = np.sin((b[..., 1] - a[..., 1]) / 2) ** 2
    h = north + np.cos(a[..., 0]) * np.cos(b[..., 0]) * east
    return 2 * R * np.arcsin(np.sqrt(np.clip(h, 0, 1)))
""",
    ),
    "arccosine": (
        "haversine_km",
        "what an arccosine does",
        """
def haversine_km(a, b):
    a, b = np.radians(a), np.radians(b)
    dot = np.sin(a[..., 0]) * np.sin(b[..., 0])
    dot = dot + np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.cos(b[..., 1] - a[..., 1])
    return R * np.arccos(np.clip(dot, -1, 1))
""",
    ),
    "no factor 2": (
        "haversine_km",
        "lacks the factor 2",
        """
def haversine_km(a, b):
    a, b = np.radians(a), np.radians(b)
    east = np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.sin((b[..., 1] - a[..., 1]) / 2) ** 2
    return R * np.arcsin(np.sqrt(np.clip(np.sin((b[..., 0] - a[..., 0]) / 2) ** 2 + east, 0, 1)))
""",
    ),
    "no clip": (
        "haversine_km",
        "a little larger than 1",
        """
def haversine_km(a, b):
    a, b = np.radians(a), np.radians(b)
    east = np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.sin((b[..., 1] - a[..., 1]) / 2) ** 2
    h = np.sin((b[..., 0] - a[..., 0]) / 2) ** 2 + east
    return 2 * R * np.arctan2(np.sqrt(h), np.sqrt(1 - h))
""",
    ),
    "the equator's radius": (
        "haversine_km",
        "takes a radius of 6378.1370 km",
        """
def haversine_km(a, b):
    a, b = np.radians(a), np.radians(b)
    east = np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.sin((b[..., 1] - a[..., 1]) / 2) ** 2
    h = np.clip(np.sin((b[..., 0] - a[..., 0]) / 2) ** 2 + east, 0, 1)
    return 2 * 6378.137 * np.arcsin(np.sqrt(h))
""",
    ),
    "metres": (
        "haversine_km",
        "returns metres",
        """
def haversine_km(a, b):
    a, b = np.radians(a), np.radians(b)
    east = np.cos(a[..., 0]) * np.cos(b[..., 0]) * np.sin((b[..., 1] - a[..., 1]) / 2) ** 2
    h = np.clip(np.sin((b[..., 0] - a[..., 0]) / 2) ** 2 + east, 0, 1)
    return 2e3 * R * np.arcsin(np.sqrt(h))
""",
    ),
    "arccosine of vectors": (
        "chord_km",
        "has no digits left",
        """
def chord_km(u, v):
    return R * np.arccos(np.clip((u * v).sum(-1), -1, 1))
""",
    ),
    "only the small chord": (
        "chord_km",
        "opposite sides of the Earth",
        """
def chord_km(u, v):
    return 2 * R * np.arcsin(np.clip(np.linalg.norm(u - v, axis=-1) / 2, 0, 1))
""",
    ),
    "through the Earth": (
        "chord_km",
        "runs through the Earth",
        """
def chord_km(u, v):
    return R * np.linalg.norm(u - v, axis=-1)
""",
    ),
    "mean of degrees": (
        "spherical_mean",
        "mean of the degrees",
        """
def spherical_mean(latlon):
    return latlon.mean(axis=0)
""",
    ),
    "rounded score": (
        "geoguessr_score",
        "rounds",
        """
def geoguessr_score(km, scale_km=1492.7):
    return np.round(5000 * np.exp(-km / scale_km))
""",
    ),
    "scale not taken": (
        "geoguessr_score",
        "use the argument",
        """
def geoguessr_score(km, scale_km=1492.7):
    return 5000 * np.exp(-km / 1492.7)
""",
    ),
    "strictly within": (
        "accuracy",
        "<=, not <",
        """
def accuracy(km, thresholds_km):
    return 100 * (km[:, None] < thresholds_km).mean(axis=0)
""",
    ),
    "shares": (
        "accuracy",
        "multiply by 100",
        """
def accuracy(km, thresholds_km):
    return (km[:, None] <= thresholds_km).mean(axis=0)
""",
    ),
    "misses left out": (
        "accuracy",
        "stay in n",
        """
def accuracy(km, thresholds_km):
    return 100 * (km[np.isfinite(km)][:, None] <= thresholds_km).mean(axis=0)
""",
    ),
    "misses counted as hits": (
        "accuracy",
        "as a hit",
        """
def accuracy(km, thresholds_km):
    return 100 - 100 * (km[:, None] > thresholds_km).mean(axis=0)
""",
    ),
    "the walkers' own mean": (
        "mean_shift",
        "moves the matches along",
        """
def mean_shift(latlon, bandwidth_km):
    walkers = to_unit(latlon)
    for _ in range(300):
        total = (chord_km(walkers[:, None], walkers) <= bandwidth_km) @ walkers
        walkers = total / np.linalg.norm(total, axis=-1, keepdims=True)
    modes, count, free = [], [], np.ones(len(walkers), bool)
    while free.any():
        end = walkers[free.argmax()]
        here = free & (chord_km(walkers, end) <= bandwidth_km / 2)
        modes.append(end)
        count.append(here.sum())
        free &= ~here
    order = np.argsort(-np.array(count), kind="stable")
    return to_latlon(np.array(modes)[order]), np.array(count)[order]
""",
    ),
    "not sorted": (
        "mean_shift",
        "not sorted",
        """
def mean_shift(latlon, bandwidth_km):
    matches = walkers = to_unit(latlon)
    for _ in range(300):
        total = (chord_km(walkers[:, None], matches) <= bandwidth_km) @ matches
        walkers = total / np.linalg.norm(total, axis=-1, keepdims=True)
    modes, count, free = [], [], np.ones(len(walkers), bool)
    while free.any():
        end = walkers[free.argmax()]
        here = free & (chord_km(walkers, end) <= bandwidth_km / 2)
        modes.append(end)
        count.append(here.sum())
        free &= ~here
    return to_latlon(np.array(modes)), np.array(count)
""",
    ),
    "sums as walkers": (
        "mean_shift",
        "back to length 1",
        """
def mean_shift(latlon, bandwidth_km):
    matches = walkers = to_unit(latlon)
    for _ in range(300):
        walkers = (chord_km(walkers[:, None], matches) <= bandwidth_km) @ matches
    modes, count, free = [], [], np.ones(len(walkers), bool)
    while free.any():
        end = walkers[free.argmax()]
        here = free & (chord_km(walkers, end) <= bandwidth_km / 2)
        here[free.argmax()] = True
        modes.append(end)
        count.append(here.sum())
        free &= ~here
    order = np.argsort(-np.array(count), kind="stable")
    return to_latlon(np.array(modes)[order]), np.array(count)[order]
""",
    ),
    "ties the other way round": (
        "mean_shift",
        "the earlier one comes first",
        """
def mean_shift(latlon, bandwidth_km):
    matches = walkers = to_unit(latlon)
    for _ in range(300):
        total = (chord_km(walkers[:, None], matches) <= bandwidth_km) @ matches
        walkers = total / np.linalg.norm(total, axis=-1, keepdims=True)
    modes, count, free = [], [], np.ones(len(walkers), bool)
    while free.any():
        end = walkers[free.argmax()]
        here = free & (chord_km(walkers, end) <= bandwidth_km / 2)
        modes.append(end)
        count.append(here.sum())
        free &= ~here
    order = np.argsort(np.array(count), kind="stable")[::-1]
    return to_latlon(np.array(modes)[order]), np.array(count)[order]
""",
    ),
    "a walk without end": (
        "mean_shift",
        "still running",
        """
def mean_shift(latlon, bandwidth_km):
    while True:
        pass
""",
    ),
}
