"""How alike two images are in structure: PSNR, SSIM (Wang et al. 2004), MS-SSIM (Wang, Simoncelli & Bovik
2003), and the diversity of a set as the unlikeness of pairs of its images (Odena et al. 2017).

SSIM compares means, variances and the covariance under a Gaussian window of 11 pixels (σ = 1.5, K = 0.01
and 0.03, weights that sum to one, only windows that lie wholly inside). MS-SSIM multiplies that over five
scales, each half the one before. An image too small for five gets fewer and another name (`Scales`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import Estimate

WINDOW, SIGMA = 11, 1.5
STABILISERS = (0.01, 0.03)  # K1 and K2, in shares of the data range
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first (Wang et al. 2003, §3.2)
AT_ONCE = 1 << 16  # entries of a block of images: their maps stay in the cache


@dataclass(frozen=True)
class Scales:
    """What images of a size can carry: the `window` in pixels and the `weights` of the scales."""

    window: int
    weights: tuple[float, ...]

    @property
    def name(self) -> str:
        """`ms_ssim` where it is what the paper defines, else how it differs: `ms_ssim_2_scales`."""
        parts = ["ms_ssim"]
        if len(self.weights) < len(WEIGHTS):
            parts.append(f"{len(self.weights)}_scale{'s' if len(self.weights) > 1 else ''}")
        if self.window < WINDOW:
            parts.append(f"window_{self.window}")
        return "_".join(parts)


def scales_of(height: int, width: int) -> Scales:
    """The window and the scales for images of a size: as many of the five as leave 11 pixels in the
    coarsest, with weights that again sum to one. Under 11 pixels: one scale and the largest odd window.

    Raises:
        DataError: a side is shorter than 3 pixels.
    """
    side = min(height, width)
    if side < 3:
        raise DataError(f"structural similarity needs sides of 3 pixels or more, not {height} × {width}")
    window = min(WINDOW, side - 1 + side % 2)
    count = 1
    while count < len(WEIGHTS) and -(-side // 2**count) >= window:
        count += 1
    count = count if window == WINDOW else 1
    # Five weights are left as published: they sum to 1.0 up to the rounding of the paper.
    whole = sum(WEIGHTS[:count]) if count < len(WEIGHTS) else 1.0
    return Scales(window, tuple(weight / whole for weight in WEIGHTS[:count]))


def psnr(one: np.ndarray, other: np.ndarray, *, data_range: float) -> np.ndarray:
    """Peak signal-to-noise ratio in dB `[n]` of each pair of images `[n, H, W, C]`: 10 log₁₀(R² / MSE).

    Equal images have an infinite one. The mean over images is of these, never that of the pooled error.

    Args:
        one: images.
        other: what they are compared with.
        data_range: R, the greatest value that can be less the smallest: 255 for bytes, 2 for [-1, 1].

    Raises:
        DataError: shapes differ or are not `[n, H, W, C]`, no images, or a range that is not positive.
    """
    found = [np.square(a - b).reshape(len(a), -1).mean(axis=1) for a, b in _blocks(one, other, data_range)]
    with np.errstate(divide="ignore"):
        return 10 * (2 * math.log10(data_range) - np.log10(np.concatenate(found)))


def ssim(one: np.ndarray, other: np.ndarray, *, data_range: float) -> np.ndarray:
    """Structural similarity `[n]` of each pair of images `[n, H, W, C]`: mean over windows and channels.

    It equals tf.image.ssim. Images under 11 pixels get the largest odd window (`scales_of` says which).
    Arguments and errors are those of `psnr`.
    """
    window = _scales(one).window
    blocks = _blocks(one, other, data_range)
    return np.concatenate([_similarity(a, b, window, data_range)[0].mean(axis=1) for a, b in blocks])


def ms_ssim(one: np.ndarray, other: np.ndarray, *, data_range: float) -> tuple[np.ndarray, str]:
    """Multi-scale structural similarity `[n]` of each pair of images `[n, H, W, C]`, and its name.

    From 161 pixels it equals tf.image.ssim_multiscale and is called `ms_ssim`; under that there are fewer
    scales, and the name has their number. Arguments and errors are those of `psnr`.
    """
    scales = _scales(one)
    found = []
    for a, b in _blocks(one, other, data_range):
        product = np.ones(a.shape[:2])  # [n, C]
        for level, weight in enumerate(scales.weights):
            if level:
                a, b = _halved(a), _halved(b)
            whole, contrast = _similarity(a, b, scales.window, data_range)
            last = level == len(scales.weights) - 1
            product *= np.maximum(whole if last else contrast, 0) ** weight
        found.append(product.mean(axis=1))
    return np.concatenate(found), scales.name


def reconstruction(real: np.ndarray, rebuilt: np.ndarray, *, data_range: float) -> dict[str, Estimate]:
    """Mean PSNR (dB) and mean SSIM of reconstructions `[n, H, W, C]`, each with Student's interval."""
    window = _scales(real).window
    similarity = intervals.mean(ssim(real, rebuilt, data_range=data_range))
    if window < WINDOW:
        similarity = replace(similarity, extra={**similarity.extra, "window": window})
    return {"psnr": intervals.mean(psnr(real, rebuilt, data_range=data_range)), "ssim": similarity}


def diversity(
    samples: np.ndarray,
    real: np.ndarray,
    *,
    data_range: float,
    labels: np.ndarray | None = None,
    real_labels: np.ndarray | None = None,
    pairs: int = 1000,
    seed: int = 0,
) -> Estimate:
    """1 - mean MS-SSIM of random pairs of samples, with the same number on real pairs beside it.

    With labels both images of a pair are of one class, and each class has as many pairs. No image is in two
    pairs: so they are independent, and the interval is a bootstrap over pairs. `extra` has `measure` (which
    MS-SSIM), `pairs`, and for the real ones `real`, `real_low`, `real_high`, `of_real` (the quotient: near 0
    where the samples have collapsed).

    Args:
        samples: `[n, H, W, C]`.
        real: `[m, H, W, C]`, held-out images.
        data_range: see `psnr`.
        labels: the class of each sample, int `[n]`; given with `real_labels` `[m]` or not at all.
        real_labels: the class of each real image.
        pairs: at most so many in all.
        seed: of the draw.

    Raises:
        DataError: no class has two images on both sides, or labels on one side only.
    """
    if (labels is None) != (real_labels is None):
        raise DataError("diversity within classes needs the labels of the samples and of the real images")
    own = np.zeros(len(samples), int) if labels is None else np.asarray(labels)
    known = np.zeros(len(real), int) if real_labels is None else np.asarray(real_labels)
    common = [c for c in np.unique(known) if min((known == c).sum(), (own == c).sum()) >= 2]
    if not common:
        raise DataError(
            "diversity needs two samples and two real images, of one class where there are labels"
        )
    each = max(pairs // len(common), 1)
    drawn = _unlikeness(samples, own, common, each, data_range, seed)
    reference = _unlikeness(real, known, common, each, data_range, seed)
    extra: dict[str, Any] = {
        **drawn.extra,
        "real": reference.value,
        "real_low": reference.low,
        "real_high": reference.high,
        "of_real": drawn.value / reference.value if reference.value else math.nan,
    }
    if len(common) < len(np.unique(known)):
        extra["classes_without_pairs"] = len(np.unique(known)) - len(common)
    return replace(drawn, extra=extra)


def _unlikeness(
    images: np.ndarray, labels: np.ndarray, classes: list[Any], each: int, data_range: float, seed: int
) -> Estimate:
    random = np.random.default_rng(seed)
    rows = []  # [pairs, 2]
    for name in classes:
        mixed = random.permutation(np.flatnonzero(labels == name))
        rows.append(mixed[: len(mixed) // 2 * 2].reshape(-1, 2)[:each])
    left, right = np.concatenate(rows).T
    values, measure = ms_ssim(images[left], images[right], data_range=data_range)
    found = intervals.bootstrap(1 - values, lambda part: float(part.mean()), seed=seed)
    return replace(found, extra={"measure": measure, "pairs": len(values)})


def _scales(images: np.ndarray) -> Scales:
    if np.ndim(images) != 4:
        raise DataError(f"images are [n, height, width, channels], and these are {list(np.shape(images))}")
    return scales_of(*np.shape(images)[1:3])


def _blocks(one: np.ndarray, other: np.ndarray, data_range: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both in blocks as float64 `[b, C, H, W]`: the sums over pixels then never depend on the blocks."""
    if np.ndim(one) != 4 or np.shape(one) != np.shape(other) or not len(one):
        raise DataError(
            f"images are compared one by one, as [n, height, width, channels] with n > 0, and these are "
            f"{list(np.shape(one))} and {list(np.shape(other))}"
        )
    if not data_range > 0:
        raise DataError(f"the data range of images is above 0, and {data_range} was given")
    size = max(AT_ONCE // math.prod(np.shape(one)[1:]), 1)
    for start in range(0, len(one), size):
        a, b = (
            np.ascontiguousarray(np.moveaxis(images[start : start + size], 3, 1), np.float64)
            for images in (one, other)
        )
        yield a, b


def _similarity(
    a: np.ndarray, b: np.ndarray, window: int, data_range: float
) -> tuple[np.ndarray, np.ndarray]:
    """SSIM and its contrast-structure part `[n, C]`, means over windows, of float64 `[n, C, H, W]`."""
    c1, c2 = ((k * data_range) ** 2 for k in STABILISERS)
    weights = np.exp(-np.square(np.arange(window) - (window - 1) / 2) / (2 * SIGMA**2))
    weights /= weights.sum()
    mean_a, mean_b = _filtered(a, weights), _filtered(b, weights)
    squares = np.square(mean_a) + np.square(mean_b)
    products = 2 * mean_a * mean_b
    contrast = (2 * _filtered(a * b, weights) - products + c2) / (
        _filtered(np.square(a) + np.square(b), weights) - squares + c2
    )
    whole = (products + c1) / (squares + c1) * contrast
    flat = (*a.shape[:2], -1)
    return whole.reshape(flat).mean(axis=2), contrast.reshape(flat).mean(axis=2)


def _filtered(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means over every window that lies inside, of `[n, C, H, W]`; rows, then columns."""
    taps = len(weights)
    height, width = maps.shape[2] - taps + 1, maps.shape[3] - taps + 1
    rows = weights[0] * maps[:, :, :height]
    for i in range(1, taps):
        rows += weights[i] * maps[:, :, i : i + height]
    found = weights[0] * rows[..., :width]
    for i in range(1, taps):
        found += weights[i] * rows[..., i : i + width]
    return found


def _halved(maps: np.ndarray) -> np.ndarray:
    """Means of 2 × 2 pixels; an odd last row or column is first repeated."""
    odd = [(0, 0), (0, 0), (0, maps.shape[2] % 2), (0, maps.shape[3] % 2)]
    maps = np.pad(maps, odd, mode="symmetric")
    rows = maps[:, :, ::2] + maps[:, :, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]) / 4
