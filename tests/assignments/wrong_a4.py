"""Planted wrong solutions of assignment 4: the answer to one question, and what must be said."""

from __future__ import annotations

_LOCATE = """
def locate(query, chances, features, places, cell_points, clusters, top_k=5, temperature=1.0,
           max_km=1000.0):
    best = chances.sort(descending=True, stable=True).indices[:top_k]
    refined, distances = [], []
    for cell in best.tolist():
        gaps = [float((features[rows].mean(0) - query).norm()) for rows in clusters[cell]]
        distances.append(min(gaps, default=torch.inf))
        refined.append(cell_points[cell])
        if gaps:
            rows = clusters[cell][gaps.index(min(gaps))]
            refined[-1] = places[nearest_member(query, features, rows)]
    score = refine(chances[best][None], torch.tensor([distances]), temperature)[0]
    winner = int(score.argmax())
    if sphere.great_circle_km(cell_points[best[0]], refined[winner]) > max_km:
        return refined[0]
    return refined[winner]
"""
_TOPK = """
def running_topk(queries, base, k, rows=1024):
    scores, indices = torch.empty(len(queries), 0), torch.empty(len(queries), 0).long()
    for first in range(0, len(base), rows):
        block = queries @ base[first : first + rows].T
        number = torch.arange(first, first + block.shape[1]).expand(len(queries), -1)
        scores, indices = torch.cat([scores, block], 1), torch.cat([indices, number], 1)
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        scores, indices = scores[:, :k].clone(), indices.gather(1, order[:, :k])
    return scores, indices
"""


def _changed(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1, before
    return text.replace(before, after)


WRONG = {
    "OPTICS on degrees": (
        "a4.cluster_cell",
        "distances are of degrees",
        """
def cluster_cell(places, min_samples=3, xi=0.15):
    if len(places) < min_samples:
        return torch.zeros(len(places), dtype=torch.int64)
    return torch.from_numpy(OPTICS(min_samples=min_samples, xi=xi).fit(places.numpy()).labels_)
""",
    ),
    "degrees for radians": (
        "a4.cluster_cell",
        "wants radians",
        """
def cluster_cell(places, min_samples=3, xi=0.15):
    if len(places) < min_samples:
        return torch.zeros(len(places), dtype=torch.int64)
    found = OPTICS(min_samples=min_samples, xi=xi, metric="haversine").fit(places.numpy())
    return torch.from_numpy(found.labels_)
""",
    ),
    "small cells are noise": (
        "a4.cluster_cell",
        "is one cluster",
        """
def cluster_cell(places, min_samples=3, xi=0.15):
    if len(places) < min_samples:
        return torch.full((len(places),), -1)
    km = sphere.great_circle_matrix(places, places).numpy()
    found = OPTICS(min_samples=min_samples, xi=xi, metric="precomputed").fit(km)
    return torch.from_numpy(found.labels_)
""",
    ),
    "noise in the last prototype": (
        "a4.prototypes",
        "Noise is counted as the last cluster",
        """
def prototypes(features, labels):
    n = int(labels.max()) + 1
    total, count = torch.zeros(n, features.shape[1]), torch.zeros(n, 1)
    for row, label in zip(features, labels.tolist()):
        total[label] += row
        count[label] += 1
    return total / count
""",
    ),
    "noise is a prototype": (
        "a4.prototypes",
        "one prototype too many",
        """
def prototypes(features, labels):
    return torch.stack([features[labels == q].mean(0) for q in labels.unique()])
""",
    ),
    "sums": (
        "a4.prototypes",
        "divide each by the number",
        """
def prototypes(features, labels):
    kept = labels >= 0
    total = torch.zeros(int(labels.max()) + 1, features.shape[1])
    return total.index_add_(0, labels[kept], features[kept])
""",
    ),
    "temperature multiplied": (
        "a4.refine",
        "multiplied by the temperature",
        """
def refine(chances, distances, temperature):
    return chances * (-distances * temperature).softmax(1)
""",
    ),
    "softmax not normalised": (
        "a4.refine",
        "not divided by their sum",
        """
def refine(chances, distances, temperature):
    return chances * (-distances / temperature).exp()
""",
    ),
    "softmax without the maximum": (
        "a4.refine",
        "subtract the largest exponent",
        """
def refine(chances, distances, temperature):
    share = (-distances / temperature).exp()
    return chances * share / share.sum(1, keepdim=True)
""",
    ),
    "no prototypes anywhere": (
        "a4.refine",
        "the chances decide",
        """
def refine(chances, distances, temperature):
    return chances * (-distances / temperature).softmax(1)
""",
    ),
    "the released fault": (
        "a4.nearest_member",
        "argmax for argmin",
        """
def nearest_member(query, features, members):
    return int(members[(features[members] - query).norm(dim=1).argmax()])
""",
    ),
    "row of the cluster": (
        "a4.nearest_member",
        "its place in the cluster",
        """
def nearest_member(query, features, members):
    return int((features[members] - query).norm(dim=1).argmin())
""",
    ),
    "nearest to the prototype": (
        "a4.nearest_member",
        "compare with the query",
        """
def nearest_member(query, features, members):
    middle = features[members].mean(0)
    return int(members[(features[members] - middle).norm(dim=1).argmin()])
""",
    ),
    "ties by the order of members": (
        "a4.nearest_member",
        "the lowest row, 3, has to win; you take 8",
        """
def nearest_member(query, features, members):
    return int(members[(features[members] - query).norm(dim=1).argmin()])
""",
    ),
    "farthest prototype": (
        "a4.locate",
        "farthest prototype",
        _changed(
            _changed(_LOCATE, "min(gaps, default=torch.inf)", "max(gaps, default=torch.inf)"),
            "gaps.index(min(gaps))",
            "gaps.index(max(gaps))",
        ),
    ),
    "chance forgotten": (
        "a4.locate",
        "multiply by the chance",
        _changed(_LOCATE, "refine(chances[best][None]", "refine(torch.ones(1, len(best))"),
    ),
    "falls back on the point": (
        "a4.locate",
        "answers with its refined place",
        _changed(_LOCATE, "return refined[0]", "return cell_points[best[0]]"),
    ),
    "way from the winner's point": (
        "a4.locate",
        "(not of the winner)",
        _changed(_LOCATE, "km(cell_points[best[0]]", "km(cell_points[best[winner]]"),
    ),
    "max_km ignored": (
        "a4.locate",
        "max_km has no effect",
        _changed(_LOCATE, "> max_km:", "> 1e9:"),
    ),
    "top_k ignored": (
        "a4.locate",
        "only the top_k most probable may",
        _changed(_LOCATE, ".indices[:top_k]", ".indices"),
    ),
    "last block dropped": (
        "a4.running_topk",
        "1000 rows in blocks of 64 end with 40 more",
        _changed(
            _TOPK, "range(0, len(base), rows)", "range(0, max(len(base) - rows, 0) + 1, rows)"
        ),
    ),
    "indices within the block": (
        "a4.running_topk",
        "Indices count within the block",
        _changed(
            _TOPK, "torch.arange(first, first + block.shape[1])", "torch.arange(block.shape[1])"
        ),
    ),
    "ties in any order": (
        "a4.running_topk",
        "of equals the lower index",
        _changed(
            _changed(_TOPK, "[scores, block]", "[block, scores]"),
            "[indices, number]",
            "[number, indices]",
        ),
    ),
    "smallest first": (
        "a4.running_topk",
        "smallest products",
        _changed(_TOPK, "descending=True", "descending=False"),
    ),
    "whole matrix": (
        "a4.running_topk",
        "makes 32 x 20,000 ",
        """
def running_topk(queries, base, k, rows=1024):
    scores, order = (queries @ base.T).sort(dim=1, descending=True, stable=True)
    return scores[:, :k], order[:, :k]
""",
    ),
    "whole matrix in blocks": (
        "a4.running_topk",
        "makes 32 x 20,000 ",
        """
def running_topk(queries, base, k, rows=1024):
    blocks = [queries @ part.T for part in base.split(rows)]
    scores, order = torch.cat(blocks, 1).sort(dim=1, descending=True, stable=True)
    return scores[:, :k].clone(), order[:, :k].clone()
""",
    ),
}
