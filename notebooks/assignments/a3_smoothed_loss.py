# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   geolab: {summary: "Write labels that fall off with distance, their loss and gradient by hand, in blocks that fit into memory, and train a geocell head with them.", minutes: 120, gpu: not needed}
# ---
# %% [markdown]
# # Assignment 3: a loss that knows geography
#
# **Goal.** Write PIGEON's smoothed labels, their loss and its gradient, without a matrix that does not fit; train a geocell head; read its answer. **Time.** 120 min of your work; the cells run in one. **GPU.** Not needed. **Data.** Random points, and a few hundred *synthetic* photos of TinyEarth, painted in seconds.
#
# Goes with the notebooks *PIGEON: cells that follow borders* and *Kernels*. Six questions, 100 points. How it works:
#
# - Each question is a function with a docstring, which is the specification. Replace its last line, `raise NotImplementedError(...)`, by your code and run the cell. Below it stands its check; it says what is wrong in a sentence.
# - Inputs and results are torch tensors. Places are `(lat, lon)` in degrees, distances in km. No Python loop over single photos or cells.
# - Later questions may call your earlier functions.
#
# `sphere.great_circle_matrix(a, b)` of the kit gives distances (N, M) in km, and you may use it everywhere. `geolab.kernels` holds finished versions of what you write here: compare with them as much as you like, but hand in your own.
# %%
import matplotlib.pyplot as plt
import torch

from geolab import data, figures, sphere
from geolab.assignments import check
from geolab.encoders.clip import load_clip
from geolab.locators.baselines import places_of

plt.rcParams.update(figures.STYLE)
# %% tags=["parameters"]
n_photos = 600  # synthetic photos of the last part
n_steps = 150  # of gradient descent
width_km = 300.0  # of the labels; the cells of the last part are large
seed = 0


# %% [markdown]
# ## 1. Targets (22 points)
#
# With one-hot labels the neighbour cell is as wrong as Antarctica. PIGEON (2023) gives a cell with centre $g_i$, for a photo taken at $x$, the label
#
# $$y_i = \exp\left(-\frac{d(g_i, x) - \min_j d(g_j, x)}{\tau}\right)$$
#
# Both distances run from a *centre* to the *photo*. The smallest is taken off, so that the nearest cell has $y = 1$ however far away it is. A photo from a ship has its nearest cell 3,000 km away: without the subtraction all labels are $e^{-40}$ and less, and in float32 soon $0/0$.
#
# `normalise=True` divides each row by its sum. `normalise=False` is the paper's form: then a photo with many cells around it counts for many.
# %% tags=["answer"]
def smoothed_targets(latlon, centres, tau_km, normalise=True):
    """Labels of all cells for each photo.

    Parameters
    ----------
    latlon : Tensor, shape (B, 2)
        Where the photos were taken, degrees.
    centres : Tensor, shape (C, 2)
        Centres of the cells, degrees.
    tau_km : float
        Width of the smoothing, km.
    normalise : bool
        Whether each row is divided by its sum; if not, its largest label is 1.

    Returns
    -------
    Tensor, shape (B, C), float64
    """
    # SOLUTION
    km = sphere.great_circle_matrix(latlon.double(), centres.double())
    target = torch.exp((km.amin(dim=1, keepdim=True) - km) / tau_km)
    return target / target.sum(dim=1, keepdim=True) if normalise else target
    # END SOLUTION


# %%
check("a3.smoothed_targets", globals())
# %% [markdown]
# One photo in Paris, cells on an even grid of the Earth. A wider $\tau$ spreads the label over more cells.
# %%
paris = torch.tensor([[48.86, 2.35]], dtype=torch.float64)
grid = sphere.fibonacci_grid(2000)
away = sphere.great_circle_matrix(paris, grid)[0]
close = away.argsort()[:60]
fig, ax = plt.subplots(figsize=(7, 3.6))
for tau in (75, 300, 1200):
    label = smoothed_targets(paris, grid, tau)[0, close]
    ax.plot(away[close], label, "o-", ms=3, label=f"{tau} km")
ax.set(xlabel="distance of the cell's centre, km", ylabel="label", title="Labels of one photo")
ax.legend(title="tau")


# %% [markdown]
# ## 2. The loss (14 points)
#
# For logits $z$ and labels $y$, with the mean over the photos and the sum over the cells:
#
# $$L = -\frac{1}{B} \sum_n \sum_i y_{ni} \log p_{ni}, \qquad \log p_i = z_i - m - \log \sum_j e^{z_j - m}, \quad m = \max_j z_j$$
#
# Without $m$ a logit of 100 is more than float32 can exponentiate. And `log(softmax(z))` is $-\infty$ for a cell that is 104 below the best. Rows of $y$ need not sum to one: do not rely on it.
# %% tags=["answer"]
def cross_entropy(logits, target):
    """Cross-entropy of logits against soft labels: mean over photos of the sum over cells.

    Parameters
    ----------
    logits : Tensor, shape (B, C), float32 or float64
        Of any size; the result must be finite for logits of a thousand.
    target : Tensor, shape (B, C)
        Labels; rows need not sum to 1.

    Returns
    -------
    Tensor, shape ()
        Without a use of `torch.nn.functional.cross_entropy`.
    """
    # SOLUTION
    shifted = logits - logits.amax(dim=1, keepdim=True)
    log_p = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    return -(target * log_p).sum(dim=1).mean()
    # END SOLUTION


# %%
check("a3.cross_entropy", globals())


# %% [markdown]
# ## 3. The gradient, by hand (14 points)
#
# Derive $\partial L / \partial z_{ni}$ on paper first. For one-hot labels everyone knows the answer, $p - y$. Rows of the paper's labels sum to $Y_n \ne 1$. Where does $Y_n$ go? And where does $B$?
# %% tags=["answer"]
def gradient(logits, target):
    """Gradient of `cross_entropy` by the logits, by formula: no autograd.

    Parameters
    ----------
    logits, target : Tensor, shape (B, C)
        As for `cross_entropy`.

    Returns
    -------
    Tensor, shape (B, C), in the dtype of the logits
    """
    # SOLUTION
    p = (logits - logits.amax(dim=1, keepdim=True)).exp()
    p = p / p.sum(dim=1, keepdim=True)
    slope = target.sum(dim=1, keepdim=True) * p - target
    return (slope / len(logits)).to(logits.dtype)
    # END SOLUTION


# %%
check("a3.gradient", globals())
# %% [markdown]
# Is it right? Autograd knows.
# %%
four = torch.randn(4, 2000, dtype=torch.float64, requires_grad=True)
labels = smoothed_targets(sphere.uniform_points(4, seed), grid, width_km, normalise=False)
(by_autograd,) = torch.autograd.grad(cross_entropy(four, labels), four)
gap = (gradient(four.detach(), labels) - by_autograd).abs().max()
print(f"largest difference from autograd: {gap:.1e}")


# %% [markdown]
# ## 4. The same in blocks (22 points)
#
# 4,096 photos and 12,893 cells: the distances alone are 422 MB in float64, and labels, probabilities and their products are as large again. But a row needs nothing from the other rows. Take `rows` photos at a time; make their labels, loss and gradient; keep only the gradient. One whole matrix is allowed, the gradient itself, in the dtype of the logits. Nothing else may have more than `4 * rows * C` numbers (the distances of a block pass through three coordinates for each pair).
#
# Two traps. The last block may be shorter: a mean of the blocks' means counts its photos too much. And a block's gradient is divided by the number of *all* photos.
# %% tags=["answer"]
def blocked_loss(logits, latlon, centres, tau_km, rows=64):
    """Loss and gradient with normalised labels, `rows` photos at a time.

    Besides the gradient no array is made that has more than ``4 * rows * C`` numbers.

    Parameters
    ----------
    logits : Tensor, shape (B, C), float32
    latlon : Tensor, shape (B, 2)
    centres : Tensor, shape (C, 2)
    tau_km : float
    rows : int
        At least 1; B need not be a multiple of it.

    Returns
    -------
    loss : Tensor, shape ()
        As ``cross_entropy(logits, smoothed_targets(latlon, centres, tau_km))``.
    grad : Tensor, shape (B, C), float32
        As `gradient` of the same.
    """
    # SOLUTION
    grad = torch.empty_like(logits)
    loss = torch.zeros((), dtype=torch.float64)
    for first in range(0, len(logits), rows):
        some = slice(first, first + rows)
        z = logits[some].double()
        target = smoothed_targets(latlon[some], centres, tau_km)
        loss += cross_entropy(z, target) * (len(z) / len(logits))
        grad[some] = gradient(z, target) * (len(z) / len(logits))
    return loss, grad
    # END SOLUTION


# %%
check("a3.blocked_loss", globals())
# %%
many = torch.randn(1000, 2000)
mean_loss, slopes = blocked_loss(many, sphere.uniform_points(1000, seed), grid, width_km)
print(f"loss {mean_loss:.4f}, sum of the gradient {slopes.sum():.1e} (each row sums to 0: why?)")


# %% [markdown]
# ## 5. A geocell head (14 points)
#
# PIGEON's head is one linear layer on an embedding that stays as it is: $z = e W^\top + b$. By the chain rule $\partial L/\partial W = (\partial L/\partial z)^\top e$, and $\partial L/\partial b$ is the sum of $\partial L/\partial z$ over the photos. So descent needs no autograd.
# %% tags=["answer"]
def train_head(emb, latlon, centres, tau_km, steps=150, lr=0.5):
    """Train a linear head on embeddings with normalised labels by plain gradient descent.

    Weight and bias begin at zero. Each of the steps uses all photos.

    Parameters
    ----------
    emb : Tensor, shape (N, D), float32
    latlon : Tensor, shape (N, 2)
    centres : Tensor, shape (C, 2)
    tau_km : float
    steps : int
    lr : float
        Length of a step, in units of the gradient.

    Returns
    -------
    weight : Tensor, shape (C, D)
    bias : Tensor, shape (C,)
    """
    # SOLUTION
    weight, bias = torch.zeros(len(centres), emb.shape[1]), torch.zeros(len(centres))
    target = smoothed_targets(latlon, centres, tau_km).to(emb.dtype)
    for _ in range(steps):
        slope = gradient(emb @ weight.T + bias, target)  # (N, C)
        weight -= lr * slope.T @ emb
        bias -= lr * slope.sum(dim=0)
    return weight, bias
    # END SOLUTION


# %%
check("a3.train_head", globals())
# %% [markdown]
# Now on photos: TinyEarth, *synthetic*, seen through the kit's small CLIP. Every fourth photo is kept aside. Features are standardised, so that one length of step suits all of them.
# %%
photos = data.load("tinyearth", n=n_photos, seed=seed, size=96)
places = places_of(photos)
features = load_clip("tiny").embed_photos(photos, "tokens").float()
features = (features - features.mean(0)) / features.std(0)
kept = torch.arange(len(places)) % 4 == 0
every = sphere.fibonacci_grid(5000)
cells = every[sphere.great_circle_matrix(places[~kept], every).argmin(1).unique()]
# %%
heads = {}
for tau in (1.0, width_km / 2, width_km):
    head = train_head(features[~kept], places[~kept], cells, tau, n_steps)
    heads[tau] = features[kept] @ head[0].T + head[1]
    gap = sphere.great_circle_km(cells[heads[tau].argmax(1)], places[kept])
    print(f"tau {tau:4.0f} km: {100 * (gap <= 2500).double().mean():4.1f} % within 2,500 km")


# %% [markdown]
# Two surprises: the labels of 1 km, in effect one-hot, are not the worst; and the wider the labels, the worse. Part of that is chance (150 photos: a percentage may move by 8 points either way). The other part is a mistake in the *reading*.
# %% [markdown]
# ## 6. Reading the answer (14 points)
#
# Where rows sum to one, a photo in a crowd of cells gives each a small share, and a photo in a lonely cell gives all to one. So the largest share is too often a lonely cell. The cure: multiply each cell's probability by its *crowding* before comparing,
#
# $$c_i = \sum_j e^{-d(g_i, g_j)/\tau}, \qquad \hat\imath = \mathrm{argmax}_i \; p_i\, c_i$$
#
# (A cell counts itself, so $c_i \ge 1$.) Probabilities can be too small for float32: compare logarithms.
# %% tags=["answer"]
def answer(logits, centres, tau_km):
    """Place of the cell with the largest product of probability and crowding.

    Parameters
    ----------
    logits : Tensor, shape (B, C)
        Of a head that was trained with normalised labels.
    centres : Tensor, shape (C, 2)
    tau_km : float
        Of the labels.

    Returns
    -------
    Tensor, shape (B, 2)
        Degrees; of equals the first cell's.
    """
    # SOLUTION
    km = sphere.great_circle_matrix(centres.double(), centres.double())
    crowding = torch.exp(-km / tau_km).sum(dim=1)
    return centres[(logits.double() + crowding.log()).argmax(dim=1)]
    # END SOLUTION


# %%
check("a3.answer", globals())
# %%
for tau, scores in heads.items():
    gap = sphere.great_circle_km(answer(scores, cells, tau), places[kept])
    print(f"tau {tau:4.0f} km: {100 * (gap <= 2500).double().mean():4.1f} % within 2,500 km")
# %% [markdown]
# ## All of it
#
# Before you hand in: *restart the kernel and run all cells*. The grading runs these checks with other random numbers.
# %%
check("a3", globals())
# %% [markdown]
# ## To think about (no points)
#
# 1. In question 1, what becomes of the labels if $\tau$ is far below the spacing of the cells? Far above?
# 2. The paper subtracts the distance of the *true* cell's centre, its code the smallest distance. When do they differ, and which label can then be larger than 1?
# 3. In question 4, which `rows` is fastest on your machine, and why is it neither 1 nor B?
#
# ## References
#
# - Haas, Skreta, Alberti, Finn, *PIGEON: predicting image geolocations*, CVPR 2024.
# - Hsu et al., *Liger Kernel: efficient Triton kernels for LLM training*, 2024.
# %% [markdown] tags=["instructor"]
# ## For the lecturer
#
# What goes wrong most often, and which question says so: no subtraction before `exp` (1), distances between centres (1), one sum for the whole matrix (1), `log(softmax)` (2), a mean over cells too (2), `p - y` for labels that do not sum to 1 (3), a mean of means and a lost last block (4), a whole float64 matrix on the way (4), no step for the bias (5), `argmax` of the plain shares (6).
#
# Answers to the questions without points. Of 1: one-hot, and even labels; take about the spacing of the cells. Of 2: they differ where another cell's centre is nearer than that of the cell the photo lies in; the paper's label of that nearer cell is above 1. Of 3: one row pays for the calls, all rows for memory; the best block fits into the cache.
