# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   geolab: {summary: "From the best cells to a street: clusters, prototypes, a softmax that does not underflow, the member that is really nearest, and a search that never holds its score matrix.", minutes: 150, gpu: helps}
# ---
# %% [markdown]
# # Assignment 4: prototypes, and one kernel
#
# **Goal.** Write PIGEON's refinement, from a geocell to a street, without the fault that its released code has; then write one kernel: an exact search that never holds its score matrix. **Time.** 150 min of your work; the cells run in one. **GPU.** Helps only if you write the kernel in Triton. **Data.** A *synthetic* toy world, made in a moment.
#
# Goes with the notebooks *ProtoNet: from a cell to a street* and *Kernels*. Six questions, 100 points. How it works:
#
# - Each question is a function with a docstring, which is the specification. Replace its last line, `raise NotImplementedError(...)`, by your code and run the cell. Below it stands its check; it says what is wrong in a sentence.
# - Inputs and results are torch tensors. Places are `(lat, lon)` in degrees, distances in km.
# - Later questions may call your earlier functions.
#
# `sphere.great_circle_matrix(a, b)` of the kit gives distances (N, M) in km. The kit also has finished versions of everything here. Compare with them, but hand in your own.
# %%
import importlib.util

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.cluster import OPTICS

from geolab import figures, sphere
from geolab.assignments import check

plt.rcParams.update(figures.STYLE)
# %% tags=["parameters"]
n_cells = 12
n_streets = 4  # in each cell
seed = 0
# %% [markdown]
# The toy world: each cell has some streets, on each street some photos, and besides them photos that stand alone. A photo's embedding tells its street, and a little of the photo itself.
# %%
rng = np.random.default_rng(seed)
middles = sphere.uniform_points(n_cells, seed).numpy() * [0.6, 1.0]
street_at = middles.repeat(n_streets, 0) + rng.uniform(-1.5, 1.5, (n_cells * n_streets, 2))
look = rng.normal(0, 1, (len(street_at), 16))
street = rng.integers(0, len(street_at), 1200)
spots = torch.from_numpy(street_at[street] + rng.normal(0, 0.01, (1200, 2)))
seen = torch.from_numpy(look[street] + rng.normal(0, 0.25, (1200, 16))).float()
# %%
alone = rng.random(1200) < 0.15
spots[alone] = torch.from_numpy(
    middles[street[alone] // n_streets] + rng.uniform(-1.5, 1.5, (alone.sum(), 2))
)
seen[alone] = torch.from_numpy(rng.normal(0, 1, (alone.sum(), 16))).float()
cell_of = torch.from_numpy(street // n_streets)


# %% [markdown]
# ## 1. Clusters in a cell (12 points)
#
# PIGEON clusters the training photos of each cell by OPTICS. Scikit-learn has it: `OPTICS(min_samples=..., xi=..., metric="precomputed")` takes a matrix of distances. Not of degrees: at 65° north a degree of longitude is 47 km, and 179.9° and -179.9° are neighbours. (`metric="haversine"` is there too. It wants radians, and says nothing if it gets degrees.)
#
# OPTICS needs `min_samples` photos at least. A cell with fewer is one cluster.
# %% tags=["answer"]
def cluster_cell(places, min_samples=3, xi=0.15):
    """Cluster the photos of one cell by OPTICS on great-circle distances.

    Parameters
    ----------
    places : Tensor, shape (n, 2)
        Degrees; n >= 1.
    min_samples : int
        At least 2. Fewer photos than that are all in cluster 0.
    xi : float
        As scikit-learn has it.

    Returns
    -------
    Tensor of int64, shape (n,)
        Cluster of each photo, from 0; -1 is noise.
    """
    # SOLUTION
    if len(places) < min_samples:
        return torch.zeros(len(places), dtype=torch.int64)
    km = sphere.great_circle_matrix(places.double(), places.double()).numpy()
    found = OPTICS(min_samples=min_samples, xi=xi, metric="precomputed").fit(km)
    return torch.from_numpy(found.labels_.astype(np.int64))
    # END SOLUTION


# %%
check("a4.cluster_cell", globals())
# %%
one = (cell_of == 0).nonzero()[:, 0]
kind = cluster_cell(spots[one])
fig, ax = plt.subplots(figsize=(6, 4))
ax.scatter(*spots[one][kind < 0].flip(1).T, color="lightgrey", label="noise")
ax.scatter(*spots[one][kind >= 0].flip(1).T, c=kind[kind >= 0], cmap="tab10")
ax.set(xlabel="longitude", ylabel="latitude", title="One cell of the toy world (synthetic)")
ax.legend()


# %% [markdown]
# ## 2. Prototypes (10 points)
#
# A cluster's prototype is the mean of its photos' embeddings. Noise belongs to no cluster; mind that index -1 is the *last* row of a tensor. The mean is not brought to unit length.
# %% tags=["answer"]
def prototypes(features, labels):
    """Mean embedding of each cluster.

    Parameters
    ----------
    features : Tensor, shape (n, D), float32
    labels : Tensor of int64, shape (n,)
        Clusters 0 to Q - 1, none of them empty; -1 is noise and counts nowhere.

    Returns
    -------
    Tensor, shape (Q, D), float32
        Q is 0 where all is noise.
    """
    # SOLUTION
    n_clusters = int(labels.max()) + 1
    kept = labels >= 0
    total = torch.zeros(n_clusters, features.shape[1])
    total.index_add_(0, labels[kept], features[kept])
    return total / torch.bincount(labels[kept], minlength=n_clusters)[:, None]
    # END SOLUTION


# %%
check("a4.prototypes", globals())


# %% [markdown]
# ## 3. The cells compete (18 points)
#
# Let $P_k$ be the chances of the $K$ best cells of a photo, and $d_k$ the distance from its embedding to the *nearest* prototype of each. Then
#
# $$s_k = P_k \; \frac{e^{-d_k/T}}{\sum_{i=1}^{K} e^{-d_i/T}}$$
#
# - $T$ has the unit of the distances. PIGEON's 1.6 belongs to its embedding, where distances are around 20; embeddings of length one need a few hundredths.
# - The released code has no subtraction of the largest exponent. Where all $d_k/T$ are above 104, float32 gives $0/0$.
# - A cell without prototypes has $d_k = \infty$, and scores 0. If that is so for *all* cells of a photo, no prototype has anything to say: then $s_k = P_k / K$.
# %% tags=["answer"]
def refine(chances, distances, temperature):
    """Score the best cells of each photo by their nearest prototypes.

    Parameters
    ----------
    chances : Tensor, shape (B, K)
        P of the K best cells. They need not sum to 1, and neither do the scores.
    distances : Tensor, shape (B, K)
        To the nearest prototype of each; infinity for a cell without one.
    temperature : float
        T, in the unit of the distances.

    Returns
    -------
    Tensor, shape (B, K)
        Finite, whatever the size of the distances.
    """
    # SOLUTION
    known = distances.isfinite().any(dim=1, keepdim=True)
    exponent = torch.where(known, -distances / temperature, 0.0)
    share = (exponent - exponent.amax(dim=1, keepdim=True)).exp()
    return chances * share / share.sum(dim=1, keepdim=True)
    # END SOLUTION


# %%
check("a4.refine", globals())
# %%
far = torch.tensor([[20.0, 21.0, 24.0]])
for warm in (0.3, 1.6, 100.0):
    print(f"T = {warm:5.1f}:", refine(torch.tensor([[0.3, 0.5, 0.2]]), far, warm)[0].tolist())


# %% [markdown]
# ## 4. The nearest member (16 points)
#
# The answer is not the middle of the winning cluster but the place of one of its photos: the one whose embedding is nearest to the photo that is asked for. The released code takes the *farthest*: an `argmax` of distances. Nothing crashes, and the median error hardly moves. A simple test would have found it: a training photo that asks for itself has to find itself.
# %% tags=["answer"]
def nearest_member(query, features, members):
    """Training photo of a cluster that is nearest to a query.

    Parameters
    ----------
    query : Tensor, shape (D,)
    features : Tensor, shape (N, D)
        Embeddings of all training photos.
    members : Tensor of int64, shape (m,)
        Rows of `features` in the cluster, m >= 1, in any order.

    Returns
    -------
    int
        A row of `features`, 0 to N - 1. Of equally near members the lowest row.
    """
    # SOLUTION
    members = members.sort().values
    gap = (features[members] - query).norm(dim=1)
    return int(members[gap == gap.min()][0])
    # END SOLUTION


# %%
check("a4.nearest_member", globals())


# %% [markdown]
# ## 5. All of it for one photo (22 points)
#
# 1. The `top_k` cells of the largest chance, best first; of equals the lower number.
# 2. In each, the distance to the nearest prototype. One prototype a cell competes, not all.
# 3. Scores by `refine`; the first of the largest wins.
# 4. The winner's answer: the place of the nearest member of the cluster whose prototype was nearest. A cell without clusters answers with its `cell_points`.
# 5. If that answer is further than `max_km` from the point of the *most probable* cell, the most probable cell wins after all, and answers as in 4: with *its* refined place, not with its point.
# %% tags=["answer"]
def locate(query, chances, features, places, cell_points, clusters, top_k=5, temperature=1.0,
           max_km=1000.0):  # fmt: skip
    """Place of one photo.

    Parameters
    ----------
    query : Tensor, shape (D,)
    chances : Tensor, shape (C,)
        Of all cells.
    features : Tensor, shape (N, D)
        Embeddings of the training photos.
    places : Tensor, shape (N, 2)
        Where they were taken.
    cell_points : Tensor, shape (C, 2)
        First guess of each cell.
    clusters : list of C lists of Tensors
        ``clusters[c]`` holds, for each cluster of cell c, the rows of its members; maybe none.
    top_k : int
        Cells that compete; all if there are fewer.
    temperature : float
    max_km : float
        Longest way from the point of the most probable cell to the answer.

    Returns
    -------
    Tensor, shape (2,)
    """
    # SOLUTION
    best = chances.sort(descending=True, stable=True).indices[:top_k]
    refined, distances = [], []
    for cell in best.tolist():
        means = [features[rows].mean(0) for rows in clusters[cell]]
        gaps = torch.tensor([float((mean - query).norm()) for mean in means])
        distances.append(float(gaps.min()) if len(gaps) else torch.inf)
        rows = clusters[cell][int(gaps.argmin())] if len(gaps) else None
        at = cell_points[cell] if rows is None else places[nearest_member(query, features, rows)]
        refined.append(at)
    score = refine(chances[best][None], torch.tensor([distances]), temperature)[0]
    answer = refined[int(score.argmax())]
    too_far = sphere.great_circle_km(cell_points[best[0]], answer) > max_km
    return refined[0] if too_far else answer
    # END SOLUTION


# %%
check("a4.locate", globals())
# %% [markdown]
# The whole refinement in the toy world. A classifier that is right in two cases of three, and photos nobody has seen:
# %%
groups = []
for number in range(n_cells):
    rows_in = (cell_of == number).nonzero()[:, 0]
    its = cluster_cell(spots[rows_in])
    groups.append([rows_in[its == q] for q in range(int(its.max()) + 1)])
points = torch.from_numpy(middles)
# %%
new = torch.from_numpy(rng.integers(0, len(street_at), 300))
asked = torch.from_numpy(look[new] + rng.normal(0, 0.25, (300, 16))).float()
right_at = torch.from_numpy(street_at)[new]
sure = torch.rand(300, n_cells, generator=torch.Generator().manual_seed(seed))
hint = torch.nn.functional.one_hot(new // n_streets, n_cells)
sure = (4 * sure + 2.2 * hint).softmax(1)
# %%
for warm in (0.1, 1.0, 10.0, 1000.0):
    pairs = zip(asked, sure, strict=True)
    told = [locate(e, p, seen, spots, points, groups, 5, warm, 1e9) for e, p in pairs]
    off_km = sphere.great_circle_km(torch.stack(told), right_at)
    print(
        f"T = {warm:6.1f}: {100 * (off_km <= 25).double().mean():5.1f} % within 25 km (synthetic)"
    )
print(
    f"cell's point: {100 * (sure.argmax(1) == new // n_streets).double().mean():.0f} % right cell"
)


# %% [markdown]
# ## 6. One kernel (22 points)
#
# Retrieval asks for the `k` largest inner products of each query with N base rows. `(queries @ base.T).topk(k)` is one line. For 3,000 queries and 10 million rows its matrix has 120 GB. So walk over the base, `rows` at a time, and keep only the `k` best so far: they and a block's scores compete for the next k places.
#
# Two traps. An index within a block is not an index within the base. And `torch.topk` promises no order of equals: with other blocks you would get other answers. The contract here: best first, **of equals the lower index**, whatever the `rows`. (A stable sort keeps the order in which equals stand.)
#
# **Or in Triton.** The checks call `running_topk(queries, base, k, rows)` and look at the answer and at what was allocated, so the inside may be a Triton kernel: one program for a query, a loop over blocks of the base, `k` slots in registers; after each block move its largest score into the worst slot as long as it is larger. The checks give tensors on the CPU, so check it in Triton's interpreter: set the environment variable `TRITON_INTERPRET=1` before Python starts. (The interpreter is for testing: hundreds of times slower, and wrong in bfloat16. On a GPU, try your kernel on CUDA tensors yourself.)
# %% tags=["answer"]
def running_topk(queries, base, k, rows=1024):
    """Exact k largest inner products, without the matrix of all scores.

    No array is made that has more than ``4 * Q * (rows + k)`` numbers.

    Parameters
    ----------
    queries : Tensor, shape (Q, D), float32
    base : Tensor, shape (N, D), float32
    k : int
        1 to N; may be larger than `rows`.
    rows : int
        Rows of the base worked on at once; N need not be a multiple of it.

    Returns
    -------
    scores : Tensor, shape (Q, k), float32
        Best first.
    indices : Tensor, shape (Q, k), int64
        Rows of the base. Of equal scores the lower index comes first.
    """
    # SOLUTION
    scores = torch.empty(len(queries), 0)
    indices = torch.empty(len(queries), 0, dtype=torch.int64)
    for first in range(0, len(base), rows):
        block = queries @ base[first : first + rows].T  # (Q, rows)
        number = torch.arange(first, first + block.shape[1]).expand(len(queries), -1)
        scores, indices = torch.cat([scores, block], 1), torch.cat([indices, number], 1)
        # What was kept has lower indices and stands first, so a stable sort breaks ties right.
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        scores, indices = scores[:, :k].clone(), indices.gather(1, order[:, :k])
    return scores, indices
    # END SOLUTION


# %%
check("a4.running_topk", globals())
# %%
questions = torch.randn(64, 32)
catalogue = torch.randn(20_000, 32)
best_scores, best_rows = running_topk(questions, catalogue, 5)
plain = (questions @ catalogue.T).topk(5)
print("scores as in one line:", torch.allclose(best_scores, plain.values, atol=1e-5))
# %% [markdown] tags=["instructor"]
# A solution in Triton. It passes the same checks with `TRITON_INTERPRET=1` set before Python starts; to be checked it has to stand in `student.py`, less the `if`. Products are summed in float32, k slots live in registers.
# %% tags=["instructor"]
if importlib.util.find_spec("triton"):
    import triton
    import triton.language as tl

    @triton.jit
    def _topk_row(queries, base, scores, indices, n, dim, k: tl.constexpr, slots: tl.constexpr,
                  rows: tl.constexpr, width: tl.constexpr):  # fmt: skip
        query = tl.program_id(0).to(tl.int64)
        slot = tl.arange(0, slots)
        best = tl.where(slot < k, -3.0e38, 3.4e38)  # slots that are not used never lose
        place = tl.where(slot < k, n + slot, 0).to(tl.int64)
        for first in range(0, n, rows):
            row = first + tl.arange(0, rows).to(tl.int64)
            block = tl.zeros((rows,), dtype=tl.float32)
            for part in range(0, dim, width):
                d = part + tl.arange(0, width)
                q = tl.load(queries + query * dim + d, mask=d < dim, other=0.0)
                inside = (row < n)[:, None] & (d < dim)[None, :]
                x = tl.load(base + row[:, None] * dim + d[None, :], mask=inside, other=0.0)
                block += tl.sum(x * q[None, :], axis=1)
            block = tl.where(row < n, block, -3.3e38)
            top, worst = tl.max(block, axis=0), tl.min(best, axis=0)
            while top > worst:  # equals stay out: what was kept has the lower index
                at = tl.min(tl.where(block == top, row, n), axis=0)
                gone = tl.max(tl.where(best == worst, place, -1), axis=0)
                here = (best == worst) & (place == gone)
                best, place = tl.where(here, top, best), tl.where(here, at, place)
                block = tl.where(row == at, -3.3e38, block)
                top, worst = tl.max(block, axis=0), tl.min(best, axis=0)
        tl.store(scores + query * k + slot, best, mask=slot < k)
        tl.store(indices + query * k + slot, place, mask=slot < k)

    def running_topk_triton(queries, base, k, rows=1024):
        """As `running_topk`."""
        scores = queries.new_empty(len(queries), k)
        indices = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
        rows, slots = triton.next_power_of_2(min(rows, 1024)), triton.next_power_of_2(k)
        sizes = {"k": k, "slots": slots, "rows": rows, "width": 32}
        _topk_row[(len(queries),)](
            queries.contiguous(), base.contiguous(), scores, indices, *base.shape, **sizes
        )
        indices, order = indices.sort(dim=1)
        scores, by_score = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        return scores, indices.gather(1, by_score)


# %% [markdown]
# ## All of it
#
# Before you hand in: *restart the kernel and run all cells*. The grading runs these checks with other random numbers.
# %%
check("a4", globals())
# %% [markdown]
# ## To think about (no points)
#
# 1. Show that $K = 1$ answers with the nearest cluster of the best cell, whatever $T$ is, and that $T \to \infty$ answers with the most probable cell.
# 2. Photos that OPTICS calls noise never become an answer. Whom does that hurt?
# 3. In question 6, how many bytes does each block read, and how many operations does it do? Which of the two binds on your machine, for 1 query and for 1,000?
#
# ## References
#
# - Haas, Skreta, Alberti, Finn, *PIGEON: predicting image geolocations*, CVPR 2024.
# - Snell, Swersky, Zemel, *Prototypical networks for few-shot learning*, NeurIPS 2017.
# - Ankerst, Breunig, Kriegel, Sander, *OPTICS: ordering points to identify the clustering structure*, SIGMOD 1999.
# - Johnson, Douze, Jégou, *Billion-scale similarity search with GPUs*, 2019.
# %% [markdown] tags=["instructor"]
# ## For the lecturer
#
# What goes wrong most often, and which question says so: degrees in OPTICS (1), noise counted as the last cluster (2), $T$ on the wrong side, no subtraction before `exp`, $0/0$ where no cell has a prototype (3), `argmax` for `argmin`, a row of the cluster for a row of the table (4), the chance forgotten, the fallback answers with the cell's point (5), the last block, indices within a block, ties, the whole matrix (6).
#
# Answers to the questions without points. Of 1: the softmax over one cell is 1; for $T \to \infty$ all shares are $1/K$. Of 2: photos from where few were taken, the countryside and poorer countries. Of 3: $4 D$ bytes a row for all queries together, $2 Q D$ operations: memory binds for one query, arithmetic for 1,000.
