# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   geolab: {summary: "Distance without arccos, means that cross the date line, the scores of the field, and mean shift on the sphere, by your own hand.", minutes: 90, gpu: not needed}
# ---
# %% [markdown]
# # Assignment 1: spheres and metrics
#
# **Goal.** Write the ruler of this field yourself: unit vectors, distances that keep their digits, means that cross the date line, two ways to score, and mean shift. **Time.** 90 min of your work; the cells run in one. **GPU.** Not needed. **Data.** A few places on the Earth; nothing is downloaded.
#
# Goes with the notebooks *Where on Earth* and *IM2GPS*. Eight questions, 100 points. How it works:
#
# - Each question is a function with a docstring, which is the specification. Replace its last line, `raise NotImplementedError(...)`, by your code and run the cell.
# - Below it stands a check of that question. Run it as often as you like. It says what is wrong in a sentence.
# - Use numpy only. Arrays go in, arrays come out, many points at once: no Python loop over points (mean shift may loop over its steps).
# - Later questions may call your earlier functions.
#
# Places are `(lat, lon)` in **degrees**, north and east positive: Sydney is `(-33.87, 151.21)`. Distances are in **km**. The Earth is a sphere of radius `R`, 6371 km. Do not use another one: the benchmarks' numbers hold for this one.
# %%
import matplotlib.pyplot as plt
import numpy as np

from geolab import figures, maps
from geolab.assignments import check

plt.rcParams.update(figures.STYLE)
R = 6371.0  # km


# %% [markdown]
# ## 1. From degrees to a vector (8 points)
#
# On a map the Earth has edges: longitude jumps from 180 to -180, and at a pole it means nothing. A vector of length one from the centre of the Earth has no edges. With latitude $\varphi$ and longitude $\lambda$ in **radians**:
#
# $$u = (\cos\varphi \cos\lambda,\ \cos\varphi \sin\lambda,\ \sin\varphi)$$
#
# So $(0°, 0°)$, in the Gulf of Guinea, is $(1, 0, 0)$; $(0°, 90°)$ is $(0, 1, 0)$; the north pole is $(0, 0, 1)$. `x[..., 0]` takes the first entry of the last axis, whatever axes come before it, and `np.stack(parts, axis=-1)` puts entries together again.
# %% tags=["answer"]
def to_unit(latlon):
    """Turn places into unit vectors.

    Parameters
    ----------
    latlon : ndarray, shape (..., 2)
        Latitude and longitude in degrees. One place is (2,), a list of them (N, 2).

    Returns
    -------
    ndarray, shape (..., 3)
        The vector given above, for each place.
    """
    # SOLUTION
    lat, lon = np.radians(latlon[..., 0]), np.radians(latlon[..., 1])
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    # END SOLUTION


# %%
check("a1.to_unit", globals())


# %% [markdown]
# ## 2. And back (8 points)
#
# Two traps. The vector need not have length one (a sum of vectors has not), so $\arcsin z$ is wrong: use the angle $\varphi = \mathrm{atan2}(z, \sqrt{x^2 + y^2})$. And $\lambda = \arctan(y / x)$ knows only half of the globe, because $(1, 1)$ and $(-1, -1)$ have the same quotient: use $\mathrm{atan2}(y, x)$, in numpy `np.arctan2(y, x)`.
# %% tags=["answer"]
def to_latlon(xyz):
    """Turn vectors into places; undoes `to_unit`.

    Parameters
    ----------
    xyz : ndarray, shape (..., 3)
        Vectors of any length above 0.

    Returns
    -------
    ndarray, shape (..., 2)
        Latitude from -90 to 90 and longitude from -180 to 180, in degrees.
    """
    # SOLUTION
    x, y, z = xyz[..., 0], xyz[..., 1], xyz[..., 2]
    lat, lon = np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)
    return np.degrees(np.stack([lat, lon], axis=-1))
    # END SOLUTION


# %%
check("a1.to_latlon", globals())


# %% [markdown]
# ## 3. The haversine formula (20 points)
#
# School takes $\theta = \arccos(u \cdot v)$. But $\cos\theta \approx 1 - \theta^2/2$, and a computer keeps only 16 digits of a number near 1. Of the angle between two places 10 cm apart ($\theta \approx 10^{-8}$) nothing is left. Sailors had a better formula long before computers:
#
# $$h = \sin^2\frac{\varphi_2 - \varphi_1}{2} + \cos\varphi_1 \cos\varphi_2 \sin^2\frac{\lambda_2 - \lambda_1}{2}, \qquad d = 2R \arcsin\sqrt h$$
#
# Sines of small angles are small numbers, and small numbers keep all their digits. At the other end, for antipodes, $h$ should be 1, and in 4 of 100 cases rounding makes it 1.0000000000000002. The square root happens to round that away. But $2R\,\mathrm{atan2}(\sqrt h, \sqrt{1 - h})$, which you will also meet, takes the root of a negative number and gives `nan`. Hold $h$ between 0 and 1 (`np.clip`), and neither form can fail.
# %% tags=["answer"]
def haversine_km(a, b):
    """Great-circle distance by the haversine formula.

    Parameters
    ----------
    a, b : ndarray, shape (..., 2)
        Places in degrees. The shapes broadcast: (N, 2) and (N, 2) give N distances, pair by pair;
        (N, 2) and (2,) give N distances to one place; (N, 1, 2) and (M, 2) give all N x M.

    Returns
    -------
    ndarray, shape (...)
        Kilometres on a sphere of radius `R`. Never `nan`, and right for places 10 cm apart.
    """
    # SOLUTION
    lat_a, lon_a = np.radians(a[..., 0]), np.radians(a[..., 1])
    lat_b, lon_b = np.radians(b[..., 0]), np.radians(b[..., 1])
    across = np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    h = np.sin((lat_b - lat_a) / 2) ** 2 + across
    return 2 * R * np.arcsin(np.sqrt(np.clip(h, 0, 1)))
    # END SOLUTION


# %%
check("a1.haversine_km", globals())
# %% [markdown]
# Try it: how far is it from Paris? The circles on the map are not round, the distances are.
# %%
paris = np.array([48.8566, 2.3522])
cities = {"Rome": (41.8933, 12.4829), "New York": (40.7128, -74.006), "Tokyo": (35.6762, 139.6503)}
for city, km in zip(cities, haversine_km(np.array(list(cities.values())), paris), strict=True):
    print(f"Paris to {city}: {km:,.0f} km")
ax = maps.circles(paris, (2500, 5000, 10000), title="2,500, 5,000 and 10,000 km around Paris")


# %% [markdown]
# ## 4. Distance from the chord (14 points)
#
# Networks and graphics cards work in `float32`: seven digits. Places come as unit vectors $u$ and $v$ there. With the angle $\theta$ between them the two chords are
#
# $$|u - v| = 2 \sin\frac\theta2, \qquad |u + v| = 2 \cos\frac\theta2, \qquad\text{hence}\qquad \theta = 2\,\mathrm{atan2}(|u - v|, |u + v|)$$
#
# Neighbours are read off the first chord, antipodes off the second one: each has its digits where the other has none. $|x|$ is the length, `np.linalg.norm(x, axis=-1)`.
# %% tags=["answer"]
def chord_km(u, v):
    """Great-circle distance between unit vectors, from their two chords.

    Parameters
    ----------
    u, v : ndarray, shape (..., 3)
        Unit vectors, float32 or float64; the shapes broadcast.

    Returns
    -------
    ndarray, shape (...)
        Kilometres on a sphere of radius `R`, good in float32 too.
    """
    # SOLUTION
    near, far = np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1)
    return 2 * R * np.arctan2(near, far)
    # END SOLUTION


# %%
check("a1.chord_km", globals())
# %% [markdown]
# The picture of the whole trouble: 20,000 pairs of places, all 0.8 km apart, in float32.
# %%
start = np.column_stack([np.linspace(-80, 80, 20_000), np.linspace(-170, 170, 20_000)])
u, v = (
    to_unit(at).astype(np.float32) for at in (start, start + np.array([np.degrees(0.8 / R), 0]))
)
school = R * np.arccos(np.clip((u * v).sum(-1), -1, 1))
fig, ax = plt.subplots(figsize=(7, 3))
ax.hist(school, bins=50, range=(0, 3), label="arccos")
ax.hist(chord_km(u, v), bins=50, range=(0, 3), label="chords")
ax.set(xlabel="computed distance, km", ylabel="pairs", title="20,000 pairs 0.8 km apart")
legend = ax.legend()


# %% [markdown]
# ## 5. The mean of places (12 points)
#
# A cell of the Earth answers with the mean of its photos. Fiji lies on both sides of the date line: the mean of the longitudes 179.9 and -179.9 is 0, which is in Africa. Take the mean of the *vectors*. It lies inside the Earth, and the place above it is the answer.
# %% tags=["answer"]
def spherical_mean(latlon):
    """Mean place: where the sum of the unit vectors points.

    Parameters
    ----------
    latlon : ndarray, shape (N, 2)
        Degrees.

    Returns
    -------
    ndarray, shape (2,)
        Degrees.
    """
    # SOLUTION
    return to_latlon(to_unit(latlon).sum(axis=0))
    # END SOLUTION


# %%
check("a1.spherical_mean", globals())


# %% [markdown]
# ## 6. Points of the game (8 points)
#
# GeoGuessr gives $5000\,e^{-d/s}$ points for an error of $d$ km, with $s = 1492.7$ km on the map of the world. The game rounds to whole points; here nothing is rounded, because a mean over rounds should not be.
# %% tags=["answer"]
def geoguessr_score(km, scale_km=1492.7):
    """Points for errors.

    Parameters
    ----------
    km : ndarray, shape (N,)
        Errors. Infinity stands for a photo without an answer and gets 0 points.
    scale_km : float

    Returns
    -------
    ndarray, shape (N,)
        From 5000 (on the spot) down to 0; not rounded.
    """
    # SOLUTION
    return 5000 * np.exp(-km / scale_km)
    # END SOLUTION


# %%
check("a1.geoguessr_score", globals())


# %% [markdown]
# ## 7. Accuracy within a distance (12 points)
#
# Papers print five numbers: the share of photos with an error of **at most** 1, 25, 200, 750 and 2500 km. A system that crashes on a photo has not answered it: its error is given as `nan`, and the photo **stays in the count** as a miss. Leaving it out is the commonest way to a better table, and a wrong one.
# %% tags=["answer"]
def accuracy(km, thresholds_km):
    """Share of photos within each distance.

    Parameters
    ----------
    km : ndarray, shape (N,)
        Errors; `nan` or infinity is a photo without an answer: a miss that counts.
    thresholds_km : ndarray, shape (T,)

    Returns
    -------
    ndarray, shape (T,)
        Per cent, 0 to 100, of all N photos whose error is at most the threshold.
    """
    # SOLUTION
    return 100 * (km[:, None] <= thresholds_km).mean(axis=0)  # nan <= anything is False
    # END SOLUTION


# %%
check("a1.accuracy", globals())


# %% [markdown]
# ## 8. Mean shift (18 points)
#
# IM2GPS (2008) finds the 120 photos that look most like the query. Where were they taken? Scattered, with a pile or two. *Mean shift* finds the piles:
#
# 1. Every match starts a walker at its own place.
# 2. A walker moves to the spherical mean of all **matches** (not walkers) within `bandwidth_km` of it, the limit included.
# 3. Repeat for all walkers until none moves by more than 1 m, or 300 times.
# 4. Walkers that have met stand on a *mode*. Take the end of the first walker: all ends within half a bandwidth of it belong to this mode, and its place is that end. Take the first of the walkers that are left, and so on.
# 5. Sort the modes by the number of their walkers, the largest first; of equals the earlier one (`np.argsort(-count, kind="stable")`).
#
# A walker always stands within reach of some match, so the mean in step 2 exists. All walkers can move at once: distances of walkers and matches are a matrix, `inside = distance <= bandwidth_km` another one, and the sum over those inside is `inside @ vectors`. Remember that a sum of unit vectors has to be brought back to length one.
# %% tags=["answer"]
def mean_shift(latlon, bandwidth_km):
    """Find the piles among places.

    Parameters
    ----------
    latlon : ndarray, shape (K, 2)
        Places of the matches, degrees.
    bandwidth_km : float
        Radius of the window.

    Returns
    -------
    modes : ndarray, shape (M, 2)
        Degrees, the mode with the most walkers first.
    count : ndarray of int, shape (M,)
        Walkers on each mode; they sum to K.
    """
    # SOLUTION
    matches = to_unit(latlon)
    walkers = matches
    for _ in range(300):
        inside = chord_km(walkers[:, None], matches) <= bandwidth_km  # (K, K)
        total = inside @ matches
        after = total / np.linalg.norm(total, axis=-1, keepdims=True)
        still = chord_km(walkers, after).max() <= 0.001
        walkers = after
        if still:
            break
    modes, count, free = [], [], np.ones(len(walkers), bool)
    while free.any():
        end = walkers[free.argmax()]
        here = free & (chord_km(walkers, end) <= bandwidth_km / 2)
        modes.append(end)
        count.append(here.sum())
        free &= ~here
    order = np.argsort(-np.array(count), kind="stable")
    return to_latlon(np.array(modes)[order]), np.array(count)[order]
    # END SOLUTION


# %%
check("a1.mean_shift", globals())
# %% [markdown]
# Forty invented matches: half of them around Fiji on both sides of the date line, some in Norway, the rest anywhere. The mean of all is nowhere; the modes are the two stories that the matches tell.
# %%
rng = np.random.default_rng(1)
fiji = np.array([-17.5, 179.8]) + rng.normal(0, 1, (20, 2))
norway = np.array([61.5, 9.5]) + rng.normal(0, 1, (12, 2))
anywhere = np.column_stack([rng.uniform(-50, 60, 8), rng.uniform(-180, 180, 8)])
matches = np.concatenate([fiji, norway, anywhere])
matches[:, 1] = (matches[:, 1] + 180) % 360 - 180
# %%
modes, count = mean_shift(matches, 500)
ax = maps.world(title="Forty invented matches and their two largest modes")
maps.points(matches, ax)
maps.circles(modes[0], (500,), ax)
maps.circles(modes[1], (500,), ax)
print("modes:", modes[:2].round(1).tolist(), "with", count[:2].tolist(), "walkers")
# %% [markdown]
# ## All of it
#
# Before you hand in: *restart the kernel and run all cells*, so that nothing depends on a cell that you have changed since. The grading runs these checks with other random numbers.
# %%
check("a1", globals())
# %% [markdown] tags=["instructor"]
# ## For the lecturer
#
# What goes wrong most often, and which check says so: degrees taken for radians (1, 3), `(lon, lat)` (1), `arctan` without the 2 (2), `arccos` (3, 4), a missing factor 2 (3), no `clip` (3), the mean of degrees (5), `<` for `<=` (7), photos without an answer left out of n (7), a mean of walkers instead of matches, sums that are not brought back to length one, ties turned round (8).
#
# To discuss: why does the GeoGuessr score reward a hedged answer, and accuracy within 25 km not? Why does mean shift need no number of clusters? What would a bandwidth of 5,000 km do?
