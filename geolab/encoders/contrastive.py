r"""Contrastive learning of photos and texts: the loss of CLIP, for captions that repeat.

With unit features u of photos and v of texts, B pairs and a learnt scale s,

.. math:: L = \frac{1}{2B} \sum_i \Big[ -\log \frac{e^{s u_i v_i}}{\sum_j e^{s u_i v_j}}
          -\log \frac{e^{s u_i v_i}}{\sum_j e^{s u_j v_i}} \Big]

(Radford et al., ICML 2021). Captions made by rule repeat: two photos from Chile may carry the same
words, and pushing them apart teaches nonsense. Here the sums leave out every j that is not i but
has the caption of i.

The more pairs, the better the negatives, and adding up gradients of small batches does *not* make
pairs between them. `chunked` embeds a large batch piece by piece: the graph of a piece is thrown
away and made again when its gradient is known (gradient caching, Gao et al. 2021), so memory is
that of one piece and the gradient that of the whole batch.

With several processes every one of them sees the features of all, gradients included.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def info_nce(photos: Tensor, texts: Tensor, scale: Tensor, same: Tensor | None = None) -> Tensor:
    """Symmetric contrastive loss, summed over the pairs.

    Parameters
    ----------
    photos, texts : Tensor, shape (B, D)
        Unit length.
    scale : Tensor, shape ()
        Factor on the cosines.
    same : Tensor of bool, shape (B, B), optional
        Which pairs carry equal captions; they are no negatives of one another.

    Returns
    -------
    Tensor, shape ()
        Divide by B for the mean.
    """
    return info_nce_rows(photos, texts, photos, texts, scale, same, 0)


def info_nce_rows(
    photos: Tensor,
    texts: Tensor,
    all_photos: Tensor,
    all_texts: Tensor,
    scale: Tensor,
    same: Tensor | None,
    first: int,
) -> Tensor:
    """As `info_nce`, for b rows of a batch of B; `first` is the number of the first of them.

    Parameters
    ----------
    photos, texts : Tensor, shape (b, D)
    all_photos, all_texts : Tensor, shape (B, D)
    same : Tensor of bool, shape (b, B), optional
    """
    rows = torch.arange(len(photos), device=photos.device) + first  # own column of each row
    with torch.autocast(photos.device.type, enabled=False):  # it would multiply in half precision
        photo_side = scale.float() * photos.float() @ all_texts.float().T  # (b, B)
        text_side = scale.float() * texts.float() @ all_photos.float().T  # (b, B)
    if same is not None:
        others = same.clone()
        others.scatter_(1, rows[:, None], False)
        photo_side = photo_side.masked_fill(others, -torch.inf)
        text_side = text_side.masked_fill(others, -torch.inf)
    both = [F.cross_entropy(side, rows, reduction="sum") for side in (photo_side, text_side)]
    return (both[0] + both[1]) / 2


def equal_captions(tokens: Tensor, others: Tensor | None = None) -> Tensor:
    """Which captions are the same words: (b, L), (B, L) -> (b, B) bool."""
    others = tokens if others is None else others
    _, at = torch.unique(torch.cat([tokens, others]), dim=0, return_inverse=True)
    return at[: len(tokens), None] == at[None, len(tokens) :]


def chunked(embed: Callable[[Tensor], Tensor], rows: Tensor, chunk: int) -> Tensor:
    """Embed rows piece by piece, keeping the graph of none: (B, ...) -> (B, D).

    Costs a second forward pass; the gradient is that of ``embed(rows)``. Without effect where the
    batch is no larger than a piece.
    """
    if len(rows) <= chunk:
        return embed(rows)
    parts = [checkpoint(embed, part, use_reentrant=False) for part in rows.split(chunk)]
    return torch.cat(parts)


def gathered(features: Tensor) -> tuple[Tensor, int]:
    """Rows of all processes, with gradient, and the number of this one's first: (B, D), int.

    Raises
    ------
    ValueError
        If the processes have different numbers of rows.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return features, 0
    from torch.distributed.nn.functional import all_gather

    sizes = torch.zeros(dist.get_world_size(), dtype=torch.int64, device=features.device)
    sizes[dist.get_rank()] = len(features)
    dist.all_reduce(sizes)
    if len(set(sizes.tolist())) > 1:
        raise ValueError("processes have batches of different size; drop the last batch")
    return torch.cat(all_gather(features)), dist.get_rank() * len(features)
