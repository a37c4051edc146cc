"""Wrong answers to assignment 2, as students give them: question, words of the sentence, code.

Each replaces the function of the solution that has its name.
"""

PARTITION = """
def partition(latlon, t_min, t_max, start_level=2, max_level=30):
    still_open, kept = s2_cell_ids(latlon[:, 0], latlon[:, 1], 30), []
    for level in range(start_level, max_level + 1):
        cell = s2_cells.parent(still_open, level)
        ids, which, count = np.unique(cell, return_inverse=True, return_counts=True)
        split = (count > t_max) & (level < max_level)
        kept.append(ids[~split & (count > t_min)])
        still_open = still_open[split[which]]
        if len(still_open) == 0:
            break
    return np.sort(np.concatenate(kept))
"""
ASSIGN = """
def assign(ids, latlon):
    leaf = s2_cell_ids(latlon[:, 0], latlon[:, 1], 30)
    label = np.full(len(leaf), -1)
    for level in np.unique(s2_cells.level_of(ids)):
        cell = s2_cells.parent(leaf, int(level))
        at = np.minimum(np.searchsorted(ids, cell), len(ids) - 1)
        label = np.where(ids[at] == cell, at, label)
    return label
"""

WRONG = {
    "t_min kept": (
        "partition",
        "At most t_min are dropped",
        PARTITION.replace("count > t_min", "count >= t_min"),
    ),
    "t_max split": (
        "partition",
        "Split where count > t_max",
        PARTITION.replace("count > t_max", "count >= t_max"),
    ),
    "lat and lon swapped in partition": (
        "partition",
        "are lat and lon swapped?",
        PARTITION.replace("(latlon[:, 0], latlon[:, 1]", "(latlon[:, 1], latlon[:, 0]"),
    ),
    "nothing dropped": (
        "partition",
        "drops no cell",
        PARTITION.replace("~split & (count > t_min)", "~split"),
    ),
    "nothing split": (
        "partition",
        "splits no cell",
        PARTITION.replace("(count > t_max) & (level < max_level)", "count < 0"),
    ),
    "split cells kept": (
        "partition",
        "although it was split",
        PARTITION.replace("~split & (count > t_min)", "count > t_min"),
    ),
    "a loop without end": (
        "partition",
        "still running",
        PARTITION.replace(" & (level < max_level)", "").replace(
            "in range(start_level, max_level + 1)",
            "in (min(n, max_level) for n in __import__('itertools').count(start_level))",
        ),
    ),
    "not sorted": (
        "partition",
        "in increasing order",
        PARTITION.replace("np.sort(np.concatenate(kept))", "np.concatenate(kept)"),
    ),
    "start level ignored": (
        "partition",
        "does not use start_level",
        PARTITION.replace("range(start_level, max_level + 1)", "range(2, max_level + 1)"),
    ),
    "lat and lon swapped in assign": (
        "assign",
        "the latitude comes first",
        ASSIGN.replace(
            "(latlon[:, 0], latlon[:, 1]", "(np.clip(latlon[:, 1], -90, 90), latlon[:, 0]"
        ),
    ),
    "class 0 outside": (
        "assign",
        "the class 0; they get -1",
        ASSIGN.replace("np.full(len(leaf), -1)", "np.zeros(len(leaf), int)"),
    ),
    "the nearest middle": (
        "assign",
        "nearest middle",
        """
def assign(ids, latlon):
    return sphere.great_circle_matrix(latlon, s2_cells.centre(ids)).argmin(dim=1).numpy()
""",
    ),
    "one beyond the end": (
        "assign",
        "stopped with IndexError",
        ASSIGN.replace(
            "np.minimum(np.searchsorted(ids, cell), len(ids) - 1)", "np.searchsorted(ids, cell)"
        ),
    ),
    "share of what is kept": (
        "dropped_share",
        "that are kept",
        "def dropped_share(label):\n    return (label >= 0).mean()\n",
    ),
    "last photo only": (
        "photo_means",
        "only the last photo",
        """
def photo_means(latlon, label, n_classes):
    total = np.zeros((n_classes, 3))
    total[label[label >= 0]] += to_unit(latlon[label >= 0])
    return to_latlon(total)
""",
    ),
    "mean of degrees": (
        "photo_means",
        "mean of the degrees",
        """
def photo_means(latlon, label, n_classes):
    return np.stack([latlon[label == c].mean(axis=0) for c in range(n_classes)])
""",
    ),
    "photos without a class added": (
        "photo_means",
        "to the last class",
        """
def photo_means(latlon, label, n_classes):
    total = np.zeros((n_classes, 3))
    np.add.at(total, label, to_unit(latlon))
    return to_latlon(total)
""",
    ),
    "outside left out of n": (
        "ceiling",
        "stay in n",
        """
def ceiling(latlon, label, places, thresholds_km):
    inside = label >= 0
    km = metrics.errors_km(places[label[inside]], latlon[inside])
    return 100 * (km[:, None] <= thresholds_km).mean(axis=0)
""",
    ),
    "outside answered": (
        "ceiling",
        "places[-1] is a place too",
        """
def ceiling(latlon, label, places, thresholds_km):
    km = metrics.errors_km(places[label], latlon)
    return 100 * (km[:, None] <= thresholds_km).mean(axis=0)
""",
    ),
    "not normalised": (
        "softmax",
        "does not divide by the sum",
        "def softmax(logits):\n    return np.exp(logits - logits.max(axis=1, keepdims=True))\n",
    ),
    "wrong axis": (
        "softmax",
        "the cells are axis 1",
        "def softmax(logits):\n    return np.exp(logits) / np.exp(logits).sum(axis=0)\n",
    ),
    "overflow": (
        "softmax",
        "subtract the largest logit",
        """
def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
""",
    ),
    "most probable": (
        "best_place",
        "most probable place",
        """
def best_place(prob, places, scale_km=1492.7):
    return places[prob.argmax()]
""",
    ),
    "argmin for argmax": (
        "best_place",
        "argmin for argmax",
        """
def best_place(prob, places, scale_km=1492.7):
    km = sphere.great_circle_matrix(places, places).numpy()
    return places[np.argmin(np.exp(-km / scale_km) @ prob)]
""",
    ),
    "scale ignored": (
        "best_place",
        "does not use scale_km",
        """
def best_place(prob, places, scale_km=1492.7):
    km = sphere.great_circle_matrix(places, places).numpy()
    return places[np.argmax(np.exp(-km / 1492.7) @ prob)]
""",
    ),
}
