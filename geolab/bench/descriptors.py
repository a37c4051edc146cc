"""Cases of the im2gps descriptors (`geolab.encoders.im2gps`): 16 photos of 240 x 320 pixels.

The photos are synthetic: smooth colours with noise. Each peer does the same work with OpenCV or
scipy, as somebody would who has read the same papers: same colour space and bins, same filters,
same centres. For gist and textons the peers get the prepared grey photo and are spared what we do
before and, in gist, beside it (resizing, contrast, thumbnail), so the ratios flatter them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.fft
import scipy.signal
import torch
from PIL import Image
from scipy.cluster.vq import vq

from geolab.bench.harness import Case
from geolab.encoders.im2gps import Gist, LabHistogram, Textons, TinyImage
from geolab.encoders.im2gps.gist import even_contrast
from geolab.encoders.im2gps.pixels import luminance, resize_area
from geolab.encoders.im2gps.textons import N_FILTERS, filter_answers

try:
    import cv2
except ImportError:
    cv2 = None

_SIDE = 256
_SOME = 4  # photos of the slow texton peers
Photos = Sequence[np.ndarray]


def cases(big: bool) -> list[Case]:
    """One case a family; ``--big`` takes 64 photos."""
    if cv2 is not None:
        cv2.setNumThreads(torch.get_num_threads())
    photos = synthetic_photos(64 if big else 16, 240, 320)
    return [_tiny(photos), _colour(photos), _gist(photos), _textons(photos)]


def synthetic_photos(n: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth colours not far from grey, with noise, uint8 (height, width, 3).

    About half of the pixels have a colour of their own, as in real photos of this size.
    """
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        coarse = rng.uniform(0, 255, (9, 12, 1)) + rng.normal(0, 25, (9, 12, 3))
        coarse = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
        made.append((smooth + rng.normal(0, 2, smooth.shape)).clip(0, 255).astype(np.uint8))
    return made


def _case(
    name: str,
    photos: Photos,
    ours: Callable[[], torch.Tensor],
    peers: Mapping[str, Callable[[], np.ndarray] | None],
    answer: Callable[[], np.ndarray] | None = None,
    **more: object,
) -> Case:
    """A family's case; `answer` is what to compare with the peers, if it is not what `ours` gives.

    Answers agree when they differ by 5 % or less: peers cut kernels off or round colours otherwise.
    """
    height, width = photos[0].shape[:2]

    def agree() -> str:
        mine = answer() if answer else ours().numpy()
        off = [difference(mine, peer()) for peer in peers.values() if peer]
        verdict = "yes" if max(off, default=0) <= 0.05 else "NO"
        return f"{verdict}, differing by {', '.join(f'{x:.1%}' for x in off)}" if off else ""

    targets = {peer: 1.0 for peer in peers}
    size = f"{len(photos)} synthetic photos {height} x {width}"
    return Case("descriptors", name, size, ours, peers, targets, agree=agree, **more)


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean over their photos of |ours - theirs| / |theirs|, in the 2-norm."""
    ours = ours[: len(theirs)]
    gap = np.linalg.norm(ours - theirs, axis=1) / np.linalg.norm(theirs, axis=1)
    return float(gap.mean())


def _tiny(photos: Photos) -> Case:
    def opencv() -> np.ndarray:
        return np.stack([_lab(_shrunk(photo, 16)).ravel() for photo in photos])

    return _case(
        "tiny image, 16 x 16 Lab", photos, lambda: TinyImage().encode(photos),
        {"OpenCV": opencv if cv2 else None},
    )  # fmt: skip


def _shrunk(photo: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)


def _lab(photo: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def _colour(photos: Photos) -> Case:
    ranges, bins = [0, 100.001, -110, 110, -110, 110], [4, 14, 14]

    def opencv() -> np.ndarray:
        counts = [cv2.calcHist([_lab(p)], [0, 1, 2], None, bins, ranges).ravel() for p in photos]
        return np.stack(counts) / photos[0][..., 0].size

    return _case(
        "Lab histogram, 4 x 14 x 14", photos, lambda: LabHistogram().encode(photos),
        {"OpenCV": opencv if cv2 else None},
        note="ours looks the bin of each colour up in a table made once, in under a second",
    )  # fmt: skip


def gist_bank(n: int) -> np.ndarray:
    """Transfer functions of the 24 gist filters (24, n, n), from the formula of the module."""
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None]
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    bank = []
    for f0 in 0.3 / 1.85 ** np.arange(4):
        for theta in np.pi / 6 * np.arange(6):
            turn = (angle - theta + np.pi) % (2 * np.pi) - np.pi
            gain = ((radius / f0 - 1) / 0.378) ** 2 + (turn / (0.72 * np.pi / 6)) ** 2
            bank.append(np.where(radius > 0, np.exp(-gain / 2), 0))
    return np.stack(bank).astype(np.float32)


def _gist(photos: Photos) -> Case:
    grey = resize_area(luminance(photos)[..., None], _SIDE, _SIDE)[..., 0]
    grey = even_contrast(grey, Gist().prefilter_px)  # (B, 256, 256)
    margin, cells = 32, np.linspace(0, _SIDE, 6).round().astype(int)
    bank = gist_bank(_SIDE + 2 * margin)
    kernels = [_cropped(np.fft.ifft2(gain)) for gain in bank]

    def pooled(strength: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(np.add.reduceat(strength, cells[:-1], axis=-2), cells[:-1], axis=-1)
        return (sums / np.outer(np.diff(cells), np.diff(cells))).reshape(-1)  # (.., 5, 5)

    def by_fft() -> np.ndarray:
        out, inside = [], np.s_[..., margin:-margin, margin:-margin]
        for photo in np.pad(grey, ((0, 0), (margin,) * 2, (margin,) * 2), mode="symmetric"):
            spectrum = scipy.fft.fft2(photo, workers=2)
            answers = scipy.fft.ifft2(spectrum * bank, workers=2, overwrite_x=True)
            out.append(pooled(np.abs(answers)[inside]))
        return np.stack(out)

    def by_opencv() -> np.ndarray:
        return np.stack([
            np.concatenate([pooled(_magnitude(photo, kernel)) for kernel in kernels])
            for photo in grey
        ])  # fmt: skip

    encoder = Gist(side=_SIDE)
    return _case(
        "gist, 24 filters on 256 x 256", photos, lambda: encoder.encode(photos),
        {"scipy.fft, whole transforms": by_fft, "OpenCV filter2D": by_opencv if cv2 else None},
        answer=lambda: encoder.energy(grey).reshape(len(grey), -1),  # (B, 24, 5, 5) -> (B, 600)
    )  # fmt: skip


def _cropped(answer: np.ndarray) -> np.ndarray:
    """Complex kernel around the origin, down to 1 % of its peak, turned for a correlation."""
    whole = np.fft.fftshift(answer)
    centre = len(whole) // 2
    reach = int(np.abs(np.argwhere(np.abs(whole) > 0.01 * np.abs(whole).max()) - centre).max())
    box = slice(centre - reach, centre + reach + 1)
    return np.ascontiguousarray(whole[box, box][::-1, ::-1].astype(np.complex64))


def _magnitude(photo: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    parts = [
        cv2.filter2D(photo, -1, np.ascontiguousarray(part), borderType=cv2.BORDER_REFLECT)
        for part in (kernel.real, kernel.imag)
    ]
    return cv2.magnitude(*parts)


def _textons(photos: Photos) -> Case:
    impulse = np.zeros((43, 43), np.float32)
    impulse[21, 21] = 1
    kernels = filter_answers(impulse)[:-1].reshape(N_FILTERS, 43, 43)  # (32, 43 * 43)
    textons = Textons.fit(photos, n_pixels=20_000, longest_side=max(photos[0].shape))
    some = luminance(photos[:_SOME])

    def histograms(answers_of: Callable, nearest: Callable) -> np.ndarray:
        out = []
        for grey in some:
            r = np.stack([answers_of(grey, k) for k in kernels], axis=-1).reshape(-1, N_FILTERS)
            size = np.linalg.norm(r, axis=1, keepdims=True) + 1e-6  # (P, 1)
            label = nearest(r * (np.log1p(size / 0.03) / size), textons.vocabulary)
            out.append(np.bincount(label, minlength=textons.dim) / len(label))
        return np.stack(out)

    def filter2d(grey: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return cv2.filter2D(grey, -1, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REFLECT)

    def by_opencv() -> np.ndarray:
        from sklearn.metrics import pairwise_distances_argmin

        return histograms(filter2d, pairwise_distances_argmin)

    def convolved(grey: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = np.pad(grey, 21, mode="symmetric")
        return scipy.signal.fftconvolve(padded, kernel, mode="valid")

    def by_scipy() -> np.ndarray:
        return histograms(convolved, lambda r, centres: vq(r, centres)[0])

    part = f"({_SOME} photos, time x {len(photos) // _SOME})"
    peers = {f"OpenCV + scikit-learn {part}": by_opencv if cv2 else None,
             f"scipy fftconvolve + vq {part}": by_scipy}  # fmt: skip
    return _case(
        f"textons, {N_FILTERS} filters, {textons.dim} centres", photos,
        lambda: textons.encode(photos), peers,
        scaled=dict.fromkeys(peers, len(photos) / _SOME),
    )  # fmt: skip
