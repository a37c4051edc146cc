# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   geolab: {summary: "Cut the Earth into cells that follow the photos, answer with the photos' mean, and turn a heat map into a point.", minutes: 90, gpu: not needed}
# ---
# %% [markdown]
# # Assignment 2: cells that follow the photos
#
# **Goal.** Write PlaNet's partition rule, put photos into its cells, measure what the answer "mean of the photos" is worth against "middle of the cell", and turn a heat map into a point. **Time.** 90 min of your work; the cells run in one. **GPU.** Not needed. **Data.** 20,000 *invented* photos at real towns of the gazetteer; nothing is downloaded.
#
# Goes with the notebook on PlaNet. Seven questions, 100 points. Replace each `raise NotImplementedError(...)` by your code; the docstring is the specification; the check below says what is wrong. Arrays are numpy, places `(lat, lon)` in degrees. Do not loop over photos: a loop over levels is fine.
# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from geolab import figures, maps, metrics, sphere
from geolab.assignments import check
from geolab.cells import S2Partition, s2_cells
from geolab.data.gazetteer import load_gazetteer
from geolab.kernels import s2_cell_ids
from geolab.posterior import Posterior

plt.rcParams.update(figures.STYLE)


# %% [markdown]
# Two functions of Assignment 1, so that you need not copy yours.
# %%
def to_unit(latlon):
    """Places (..., 2) in degrees to unit vectors (..., 3)."""
    return sphere.to_unit(np.asarray(latlon, float)).numpy()


def to_latlon(xyz):
    """Vectors (..., 3) of any length to places (..., 2) in degrees."""
    return sphere.to_latlon(torch.from_numpy(np.asarray(xyz, float))).numpy()


# %% [markdown]
# The photos: a town is drawn with the square root of its population, and the photo is taken somewhere around it. A tenth is kept for testing. These photos have no pixels; only places matter here.
# %%
rng = np.random.default_rng(0)
towns = load_gazetteer().places
weight = np.sqrt(np.asarray(towns["population"], float) + 1)
drawn = rng.choice(len(weight), 20_000, p=weight / weight.sum())
photos = np.column_stack([np.asarray(towns["lat"])[drawn], np.asarray(towns["lon"])[drawn]])
photos = np.clip(photos + rng.normal(0, 0.05, photos.shape), [-90, -180], [90, 180])
train, test = photos[:18_000], photos[18_000:]
# %% [markdown]
# ## Tools: S2 cells
#
# S2 puts the Earth into a cube: six faces are the cells of level 0. Every cell has four children, down to level 30, which is a square centimetre. A cell is one whole number (`uint64`). Three functions are all you need:
#
# - `s2_cell_ids(lat, lon, 30)`: the cell of level 30 of each place;
# - `s2_cells.parent(ids, level)`: the cell of that level in which each of these cells lies (itself, at its own level);
# - `s2_cells.level_of(ids)`: the level of each cell.
#
# And one of numpy: `np.unique(x, return_inverse=True, return_counts=True)` gives the different values in order, for each entry of `x` the index of its value, and for each value how often it occurs.
# %%
eiffel = s2_cell_ids([48.8584], [2.2945], 30)
for level in (2, 10, 16):
    (cell,) = s2_cells.parent(eiffel, level)
    size = s2_cells.area_km2(np.array([cell]))[0]
    print(f"level {level:2d}: cell {cell}, {size:,.2f} km2")


# %% [markdown]
# ## 1. The rule (34 points)
#
# Paris has more photos than the Sahara. Cells of one size would give one class a million examples and another one none. PlaNet (2016) and the ISNs (2018) let the cells follow the photos:
#
# 1. Put every photo into its cell of `start_level`.
# 2. A cell with **more than** `t_max` photos is replaced by its four children, and these are looked at in the same way; but a cell of `max_level` is never split.
# 3. A cell with **at most** `t_min` photos is dropped: its photos belong to no class.
#
# So with `t_min=50, t_max=1000` a cell of 1,000 photos stays whole, one of 51 stays, one of 50 goes. (PlaNet drops below 50 and keeps 50. Published class counts depend on such words.)
#
# Write it level by level. At each level some photos are still *open*: those whose cell is to be split. Begin with all of them, and stop when none is left. Thousands of photos can have exactly the same position (a city's default coordinates): `max_level` is what ends your loop then.
# %% tags=["answer"]
def partition(latlon, t_min, t_max, start_level=2, max_level=30):
    """Cut the Earth into cells that follow the photos.

    Parameters
    ----------
    latlon : ndarray, shape (N, 2)
        Places of the photos, degrees.
    t_min, t_max : int
        Cells with at most `t_min` photos are dropped, those with more than `t_max` are split.
    start_level, max_level : int
        Level of the largest cells, and of those that are not split any more.

    Returns
    -------
    ndarray of uint64, shape (C,)
        The cells that are left, in increasing order.
    """
    # SOLUTION
    still_open = s2_cell_ids(latlon[:, 0], latlon[:, 1], 30)
    kept = []
    for level in range(start_level, max_level + 1):
        ids, which, count = np.unique(
            s2_cells.parent(still_open, level), return_inverse=True, return_counts=True
        )
        split = (count > t_max) & (level < max_level)
        kept.append(ids[~split & (count > t_min)])
        still_open = still_open[split[which]]
        if len(still_open) == 0:
            break
    return np.sort(np.concatenate(kept))
    # END SOLUTION


# %%
check("a2.partition", globals())


# %% [markdown]
# ## 2. Which cell is it? (18 points)
#
# The cells have different levels, and your list of them is in order. For one level that occurs, take the cell of that level for every photo and see whether it is in the list: `np.searchsorted(ids, cells)` says where it would stand. (That can be one beyond the end.) No two cells overlap, so at most one level fits.
# %% tags=["answer"]
def assign(ids, latlon):
    """Find the class of each place.

    Parameters
    ----------
    ids : ndarray of uint64, shape (C,)
        Cells from `partition`, in increasing order.
    latlon : ndarray, shape (N, 2)
        Degrees.

    Returns
    -------
    ndarray of int, shape (N,)
        Index into `ids` of the cell in which the place lies; -1 if it lies in none.
    """
    # SOLUTION
    leaf = s2_cell_ids(latlon[:, 0], latlon[:, 1], 30)
    label = np.full(len(leaf), -1)
    for level in np.unique(s2_cells.level_of(ids)):
        cell = s2_cells.parent(leaf, int(level))
        at = np.minimum(np.searchsorted(ids, cell), len(ids) - 1)
        label = np.where(ids[at] == cell, at, label)
    return label
    # END SOLUTION


# %%
check("a2.assign", globals())


# %% [markdown]
# ## 3. What is lost (6 points)
#
# The photos of dropped cells are in no class. On 4.7 million photos the ISNs lost 0.1 to 1.4 % of them. Always say how many.
# %% tags=["answer"]
def dropped_share(label):
    """Share of the photos that are in no class.

    Parameters
    ----------
    label : ndarray of int, shape (N,)
        From `assign`.

    Returns
    -------
    float
        From 0 to 1.
    """
    # SOLUTION
    return float((label == -1).mean())
    # END SOLUTION


# %%
check("a2.dropped_share", globals())


# %% [markdown]
# ## 4. The mean of a cell's photos (14 points)
#
# What does a class answer? Its middle, or, better, where its photos are. Sum the unit vectors of each class's photos and take the place above the sum, as in Assignment 1. `np.add.at(total, index, vectors)` adds each vector to the row of `total` that its index names, repeated indices included (`total[index] += vectors` does not: it adds only one of those with the same index).
# %% tags=["answer"]
def photo_means(latlon, label, n_classes):
    """Spherical mean of the photos of each class.

    Parameters
    ----------
    latlon : ndarray, shape (N, 2)
        Degrees.
    label : ndarray of int, shape (N,)
        Class of each photo; -1 for those in none, which count nowhere.
    n_classes : int
        C. Every class has at least one photo.

    Returns
    -------
    ndarray, shape (C, 2)
        Degrees.
    """
    # SOLUTION
    inside = label >= 0
    total = np.zeros((n_classes, 3))
    np.add.at(total, label[inside], to_unit(latlon[inside]))
    return to_latlon(total)
    # END SOLUTION


# %%
check("a2.photo_means", globals())
# %% [markdown]
# Your cells of the 18,000 photos. Large in Siberia, small in Europe.
# %%
ids = partition(train, 9, 150)
label = assign(ids, train)
means, counts = photo_means(train, label, len(ids)), np.bincount(label[label >= 0])
kept = {"ids": ids, "counts": counts, "means": means}
cells = S2Partition.from_arrays(kept, {"name": "Yours", "n_photos": len(train)})
ax = maps.cell_map(cells, title=f"{len(ids)} cells of 18,000 invented photos")
print(f"{dropped_share(label):.1%} of the photos are in no cell")


# %% [markdown]
# ## 5. How good can a classifier be? (12 points)
#
# A perfect classifier names the right cell for every photo and is still wrong by the distance from the photo to the cell's answer. That is the *ceiling* of a partition. Photos outside every cell can't be answered: they are misses, and they stay in the count.
# %% tags=["answer"]
def ceiling(latlon, label, places, thresholds_km):
    """Accuracy of a classifier that always names the right cell.

    Parameters
    ----------
    latlon : ndarray, shape (N, 2)
        Where the photos were taken, degrees.
    label : ndarray of int, shape (N,)
        Their cells; -1 is a miss.
    places : ndarray, shape (C, 2)
        What each cell answers, degrees.
    thresholds_km : ndarray, shape (T,)

    Returns
    -------
    ndarray, shape (T,)
        Per cent of all N photos whose answer is at most so far away. Take the distance from
        `metrics.errors_km(answers, latlon)`, (N, 2) and (N, 2) to (N,) km.
    """
    # SOLUTION
    km = metrics.errors_km(places[label], latlon)  # row -1 is some place; it is replaced below
    km = np.where(label >= 0, km, np.inf)
    return 100 * (km[:, None] <= thresholds_km).mean(axis=0)
    # END SOLUTION


# %%
check("a2.ceiling", globals())
# %% [markdown]
# The mean of the photos against the middle of the cell, on photos that were not used for the cells. In the ISNs' own cells the mean is worth 2 to 5 points at 1 and 25 km, for nothing. What is it worth in yours, and why nothing at 2,500 km?
# %%
thresholds = np.array(metrics.THRESHOLDS_KM)
test_label = assign(ids, test)
for name, places in {"middle": s2_cells.centre(ids), "mean": means}.items():
    print(f"{name:7s}", ceiling(test, test_label, places, thresholds).round(1))


# %% [markdown]
# ## 6. Probabilities (8 points)
#
# A network gives a number for each cell, a *logit*. Softmax makes probabilities of them, $p_i = e^{z_i} / \sum_j e^{z_j}$. There is a trap: $e^{1000}$ is more than a computer can hold. Subtracting the largest logit of the row from the whole row changes nothing in the quotient, and the largest exponent is then 0.
# %% tags=["answer"]
def softmax(logits):
    """Probabilities of cells.

    Parameters
    ----------
    logits : ndarray, shape (N, C)
        Any finite numbers, also 1000 and -1000.

    Returns
    -------
    ndarray, shape (N, C)
        Rows sum to 1.
    """
    # SOLUTION
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)
    # END SOLUTION


# %%
check("a2.softmax", globals())


# %% [markdown]
# ## 7. From a heat map to a point (8 points)
#
# The whole softmax is a heat map. Which point should we say? The most probable cell, says PlaNet. But if the game pays $e^{-d/s}$, then a place between several likely cells may earn more than a lonely winner. For each candidate $i$ the expected score is $\sum_j p_j\, e^{-d(i, j)/s}$; take the candidate with the largest one. `sphere.great_circle_matrix(a, b).numpy()` gives the distances of all pairs in km.
# %% tags=["answer"]
def best_place(prob, places, scale_km=1492.7):
    """Place of a cell with the largest expected score.

    Parameters
    ----------
    prob : ndarray, shape (C,)
        Probabilities of the cells.
    places : ndarray, shape (C, 2)
        What each cell answers, degrees; also the candidates.
    scale_km : float
        Of the game's score.

    Returns
    -------
    ndarray, shape (2,)
        One of the places.
    """
    # SOLUTION
    km = sphere.great_circle_matrix(places, places).numpy()
    return places[np.argmax(np.exp(-km / scale_km) @ prob)]
    # END SOLUTION


# %%
check("a2.best_place", globals())
# %% [markdown]
# An invented heat map: some likely cells around central Europe, and the single most likely one in Japan.
# %%
rome, tokyo = np.array([[47.0, 11.0]]), np.array([[35.7, 139.7]])
near = sphere.great_circle_matrix(means, rome).numpy()[:, 0]
logits = np.where(near < 900, 3.0 - near / 900, -4.0)
logits[metrics.errors_km(means, np.broadcast_to(tokyo, means.shape)).argmin()] = 4.0
prob = softmax(logits[None])[0]
places = {"most probable": means[prob.argmax()], "best expected score": best_place(prob, means)}
for name, place in places.items():
    print(f"{name}: {place.round(1)}")
ax = maps.heat_map(Posterior(means, prob[None]), title="An invented heat map")
# %% [markdown]
# ## All of it
#
# *Restart the kernel and run all cells* before you hand in. The grading runs these checks with other random numbers.
# %%
check("a2", globals())
# %% [markdown] tags=["instructor"]
# ## For the lecturer
#
# What goes wrong most often, and which check says so: `>=` at `t_max` and `<` at `t_min` (1), a loop without end at default positions (1), `(lon, lat)` (1, 2), 0 or the last class for places outside (2), `total[index] += vectors` and the plain mean of degrees (4), photos outside left out of n (5), no division or overflow (6), the most probable cell or the smallest expected score (7).
#
# To discuss: the limits compare *photos*, so one eager photographer splits a cell. What changes with distinct positions, or photographers? (`S2Partition.fit(..., distinct=True)`.) Why does the ceiling of finer cells fall at 2,500 km?
