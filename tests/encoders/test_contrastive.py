"""The contrastive loss against plain references, masks, chunks and several processes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from geolab.encoders.contrastive import (
    chunked,
    equal_captions,
    gathered,
    info_nce,
    info_nce_rows,
)
from tests.training.torchrun import run_processes


def features(n=12, d=8, seed=0):
    made = torch.Generator().manual_seed(seed)
    pair = torch.randn(2, n, d, generator=made)
    return F.normalize(pair, dim=-1).unbind()


SCALE = torch.tensor(14.3)


def plain(photos, texts, scale, captions):
    """The loss as one reads it, in float64: loops, no masks of tensors."""
    photos, texts, total = photos.double(), texts.double(), 0.0
    for i, own in enumerate(captions):
        free = [j for j, words in enumerate(captions) if j == i or words != own]
        for queries, keys in ((photos, texts), (texts, photos)):
            scores = {j: float(scale) * float(queries[i] @ keys[j]) for j in free}
            norm = torch.logsumexp(torch.tensor(list(scores.values()), dtype=torch.float64), 0)
            total += (float(norm) - scores[i]) / 2
    return total


def test_loss_of_different_captions_is_open_clips():
    from open_clip.loss import ClipLoss

    photos, texts = features()
    ours = info_nce(photos, texts, SCALE) / len(photos)
    assert ours == pytest.approx(float(ClipLoss()(photos, texts, SCALE)), rel=1e-5)
    different = torch.eye(len(photos), dtype=torch.bool)
    assert info_nce(photos, texts, SCALE, different) == info_nce(photos, texts, SCALE)


def test_equal_captions_are_no_negatives():
    photos, texts = features()
    captions = list("abacadaaeffg")
    same = torch.tensor([[a == b for b in captions] for a in captions])
    expected = plain(photos, texts, SCALE, captions)
    assert float(info_nce(photos, texts, SCALE, same)) == pytest.approx(expected, rel=1e-5)
    assert float(info_nce(photos, texts, SCALE)) > 1.02 * expected  # unmasked, it is another one


def test_a_batch_of_one_caption_has_no_loss():
    photos, texts = features(4)
    photos.requires_grad_()
    loss = info_nce(photos, texts, SCALE, torch.ones(4, 4, dtype=torch.bool))
    loss.backward()
    assert loss == 0
    assert torch.equal(photos.grad, torch.zeros_like(photos))


def test_gradients_are_those_of_finite_differences():
    photos, texts = (x.double().requires_grad_() for x in features(5, 3))
    same = equal_captions(torch.tensor([[1], [2], [1], [3], [4]]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # The loss is float32 inside, so the step is large and the tolerance wide.
        ok = torch.autograd.gradcheck(
            lambda a, b: info_nce(a, b, torch.tensor(3.0), same),
            (photos, texts),
            eps=1e-2,
            atol=1e-2,
            rtol=1e-2,
        )
    assert ok


def test_loss_is_float32_under_autocast():
    photos, texts = features(64, 32)
    plain_loss = info_nce(photos, texts, SCALE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert info_nce(photos, texts, SCALE) == plain_loss
        half = info_nce(photos.bfloat16(), texts.bfloat16(), SCALE)
    assert half.dtype == torch.float32


def test_equal_captions_compares_rows():
    tokens = torch.tensor([[1, 2, 0], [1, 3, 0], [1, 2, 0]])
    wanted = [[True, False, True], [False, True, False], [True, False, True]]
    assert equal_captions(tokens).tolist() == wanted
    assert equal_captions(tokens[1:], tokens).tolist() == wanted[1:]


def test_rows_of_a_batch_sum_to_the_batch():
    photos, texts = features()
    same = equal_captions(torch.arange(12)[:, None] % 9)
    parts = [
        info_nce_rows(photos[i:j], texts[i:j], photos, texts, SCALE, same[i:j], i)
        for i, j in ((0, 5), (5, 12))
    ]
    assert float(sum(parts)) == pytest.approx(float(info_nce(photos, texts, SCALE, same)), rel=1e-6)


def tower(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(20, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8)
    )


def large_batch(chunk):
    """Loss, gradients, and bytes that the graph keeps, of one batch of 96 through two towers."""
    made = torch.Generator().manual_seed(5)
    inputs = torch.randn(2, 96, 20, generator=made)
    towers = nn.ModuleList([tower(0), tower(1)])
    kept = []

    def keep(tensor):
        kept.append(tensor.nbytes)
        return tensor

    def embed(model, x):
        return chunked(lambda part: F.normalize(model(part), dim=1), x, chunk)

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        photos, texts = (embed(m, x) for m, x in zip(towers, inputs, strict=True))
    loss = info_nce(photos, texts, SCALE) / 96
    loss.backward()
    return loss.item(), [p.grad for p in towers.parameters()], sum(kept)


def test_chunks_give_the_gradient_of_the_large_batch_and_keep_less():
    whole, gradients, bytes_whole = large_batch(96)
    cached, others, bytes_cached = large_batch(8)
    assert cached == pytest.approx(whole, rel=1e-6)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert bytes_cached < bytes_whole / 4


def test_adding_up_small_batches_is_not_the_large_batch():
    photos, texts = features(96)
    large = info_nce(photos, texts, SCALE) / 96
    small = sum(info_nce(photos[i : i + 8], texts[i : i + 8], SCALE) for i in range(0, 96, 8)) / 96
    assert large > small + 1  # eight candidates are easier than ninety-six


def test_one_process_gathers_nothing():
    photos, _ = features()
    assert gathered(photos)[0] is photos
    assert gathered(photos)[1] == 0


SCRIPT = """
import os, sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.encoders.test_contrastive import both_towers, loss_of_share
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
model = DistributedDataParallel(both_towers())
loss = loss_of_share(model, slice(rank, None, 2))
(loss * 2).backward()  # DDP takes the mean of the processes; the loss is their sum
error = ""
try:
    from geolab.encoders.contrastive import gathered
    gathered(torch.zeros(3 + rank, 2))
except ValueError as refused:
    error = str(refused)
grads = [p.grad for p in model.parameters()]
torch.save((loss.detach(), grads, error), sys.argv[1] + "." + os.environ["RANK"])
dist.destroy_process_group()
"""


class Towers(nn.Module):
    """Two towers and a scale, as CLIP has them."""

    def __init__(self):
        super().__init__()
        self.photo, self.text = tower(0), tower(1)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, photos, texts):
        embed = lambda m, x: chunked(lambda p: F.normalize(m(p), dim=1), x, 5)  # noqa: E731
        return embed(self.photo, photos), embed(self.text, texts), self.scale.exp()


def both_towers():
    return Towers()


def loss_of_share(model, mine):
    """Summed loss over this process's rows of a batch of 24 in which captions repeat."""
    made = torch.Generator().manual_seed(5)
    inputs, words = torch.randn(2, 24, 20, generator=made), torch.arange(24)[:, None] % 17
    inputs[1] = inputs[1][words[:, 0]]
    photos, texts, scale = model(inputs[0][mine], inputs[1][mine])
    (all_photos, first), (all_texts, _) = gathered(photos), gathered(texts)
    same = equal_captions(words[mine], gathered(words[mine])[0])
    return info_nce_rows(photos, texts, all_photos, all_texts, scale, same, first)


@pytest.mark.timeout(120)
def test_two_processes_have_the_negatives_and_the_gradient_of_one(tmp_path):
    alone = both_towers()
    loss = loss_of_share(alone, slice(None))
    loss.backward()
    (one, grads, error), (two, others, _) = run_processes(SCRIPT, tmp_path / "run.pt", 2)
    assert float(one + two) == pytest.approx(loss.item(), rel=1e-5)
    for mine, first, second in zip(alone.parameters(), grads, others, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, mine.grad, rtol=1e-4, atol=1e-5)
    assert "different size" in error
