"""ProtoNet refinement in its plainest form: what `ProtoNet.refine` has to equal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from geolab import sphere
from geolab.locators.protonet import ProtoNet


def refine_reference(net: ProtoNet, features: Tensor, chances: Tensor) -> Tensor:
    """Plain form of `ProtoNet.refine`, a loop over photos and cells: answers (B, 2)."""
    config, held, out = net.config, net.clusters, []
    for feature, chance in zip(net.ready(features), chances, strict=True):
        top, cells = chance.sort(descending=True, stable=True)
        top, cells = top[: config.top_k], cells[: config.top_k]
        points, gaps = [], []
        for cell in cells.tolist():
            clusters = range(*held.offsets[cell : cell + 2].tolist())
            distance = {q: float((net.table.vectors[q] - feature).norm()) for q in clusters}
            if not distance:
                points.append(net.cell_points[cell])
                gaps.append(math.inf)
                continue
            best = min(distance, key=distance.get)
            rows = held.members[held.ends[best] : held.ends[best + 1]]
            to = (net.features[rows] - feature).norm(dim=1)
            pick = to.argmax() if config.member == "farthest" else to.argmin()
            mean = sphere.spherical_mean(net.places[rows])
            points.append(mean if config.member == "mean" else net.places[rows[pick]])
            gaps.append(distance[best])
        if all(map(math.isinf, gaps)):
            gaps = [0.0] * len(gaps)
        share = torch.softmax(-torch.tensor(gaps) / config.temperature, 0)
        winner = int((top * share).argmax())
        away = sphere.great_circle_km(net.cell_points[cells[0]], points[winner])
        out.append(points[0 if away > config.max_km else winner])
    return torch.stack(out)
