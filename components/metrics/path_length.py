"""Perceptual path length (Karras et al. 2019, §4.1): how fast images change as their latent moves.

E ‖φ(G(z_t)) - φ(G(z_{t+ε}))‖² / ε² between latents a and b, where t is uniform in [0, 1) or 0. It is a
derivative, so images stay floats: through bytes, with ε = 1e-4, it would measure the rounding alone. Whether
it is one is checked: 10 ε must give nearly the same number, or there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import SHARDS, Estimate, shard_of

TRIM = 1, 99  # percentiles that the kept paths lie between, both counted in
FLAT = 0.8, 1.25  # bounds of PPL(ε) / PPL(10 ε)
TINY = 1e-10  # keeps a pixel without any feature from 0 / 0

Features = np.ndarray | Sequence[np.ndarray]


def path_length(
    decode: Callable[[np.ndarray], np.ndarray],
    features: Callable[[np.ndarray], Features],
    latents_a: np.ndarray,
    latents_b: np.ndarray,
    *,
    epsilon: float = 1e-4,
    method: Literal["slerp", "lerp"] = "slerp",
    sampling: Literal["full", "end"] = "full",
    seed: int = 0,
    batch: int = 100,
) -> Estimate:
    """Mean perceptual path length over pairs of latents, of which the extreme 1 % on either side are left out.

    Both pictures of a path, and the one at 10 ε, are decoded in the same place of a batch. `extra` has
    `ratio` = PPL(ε) / PPL(10 ε), `epsilon`, `method`, `sampling` and the `pairs`. Where the ratio is not in
    [0.8, 1.25] the value is NaN and `why` says so: then ε is under what the decoder's precision resolves
    (raise it) or over the scale on which it bends (lower it).

    Args:
        decode: latents `[b, d]` of the dtype given → images of a float dtype, whose noise is fixed.
        features: images → maps `[b, h, w, c]`, each compared by `feature_distance`, or vectors `[b, k]`.
        latents_a: `[n, d]`, independent draws of the prior.
        latents_b: `[n, d]`.
        epsilon: the step in t; 1e-4 for float32 throughout, 1e-2 or more where activations are of 16 bits.
        method: along the arc for a normal prior, or along the line for a space without one (StyleGAN's w).
        sampling: t uniform in [0, 1), or 0.
        seed: of t.
        batch: pairs decoded at once.

    Raises:
        DataError: latents that do not pair up, images of integers, or an arc in one dimension.
    """
    a, b = np.asarray(latents_a), np.asarray(latents_b)
    _check(a, b, epsilon, method, sampling)
    t = np.random.default_rng(seed).random(len(a)) if sampling == "full" else np.zeros(len(a))
    between = slerp if method == "slerp" else lerp
    lengths = np.empty((2, len(a)))  # at ε and at 10 ε
    for start in range(0, len(a), batch):
        rows = slice(start, start + batch)
        base = features(_decoded(decode, between(a[rows], b[rows], t[rows])))
        for i, step in enumerate((epsilon, 10 * epsilon)):
            moved = features(_decoded(decode, between(a[rows], b[rows], t[rows] + step)))
            lengths[i, rows] = feature_distance(base, moved) / step**2
    return _judged(lengths, {"epsilon": epsilon, "method": method, "sampling": sampling, "pairs": len(a)})


def lerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The point at `t` `[n]` of the line from `a` to `b` `[n, d]`, in their dtype."""
    t = np.asarray(t, np.float64)[:, None]
    return np.asarray((1 - t) * a + t * b, np.result_type(a, b))


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The point at `t` `[n]` of the arc from `a` to `b` `[n, d]` (Shoemake 1985), in their dtype.

    The direction turns evenly and the length goes from one to the other. A generator that normalises its
    latents (StyleGAN) sees what its own arc of unit vectors gives; one that does not keeps to the shell
    where its prior has its mass.
    """
    kind = np.result_type(a, b)
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    t = np.asarray(t, np.float64)[:, None]
    lengths = [np.linalg.norm(part, axis=1, keepdims=True) for part in (a, b)]
    one, other = (part / np.where(norm > 0, norm, 1) for part, norm in zip((a, b), lengths))
    cosine = np.clip(np.sum(one * other, axis=1, keepdims=True), -1, 1)
    across = other - cosine * one
    norm = np.linalg.norm(across, axis=1, keepdims=True)
    turned = t * np.arctan2(norm, cosine)  # exact for small angles, where arccos is not
    direction = np.cos(turned) * one + np.sin(turned) * across / np.where(norm > 0, norm, 1)
    return np.asarray(((1 - t) * lengths[0] + t * lengths[1]) * direction, kind)


def feature_distance(one: Features, other: Features) -> np.ndarray:
    """Squared distances `[n]`: of vectors `[n, k]` as they are; of maps `[n, h, w, c]` as LPIPS does without
    its learnt weights (Zhang et al. 2018): unit length over channels, mean over space, sum over the maps."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.ndim == 2:
        return np.square(np.asarray(one, np.float64) - np.asarray(other, np.float64)).sum(axis=1)
    one, other = ([part] if isinstance(part, np.ndarray) else part for part in (one, other))
    total = np.zeros(len(one[0]))
    for a, b in zip(one, other, strict=True):
        squares = np.square(_unit(a) - _unit(b)).sum(axis=-1)
        total += squares.reshape(len(squares), -1).mean(axis=1)
    return total


def _unit(maps: np.ndarray) -> np.ndarray:
    maps = np.asarray(maps, np.float64)
    return maps / (np.sqrt(np.square(maps).sum(axis=-1, keepdims=True)) + TINY)


def _decoded(decode: Callable[[np.ndarray], np.ndarray], latents: np.ndarray) -> np.ndarray:
    images = np.asarray(decode(latents))
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"path length needs images as floats, and decode gave {images.dtype}: rounded to whole grey levels "
            f"they would add about a hundred times their own length"
        )
    return images


def _check(a: np.ndarray, b: np.ndarray, epsilon: float, method: str, sampling: str) -> None:
    if a.ndim != 2 or a.shape != b.shape or not len(a):
        raise DataError(f"path length needs pairs of latents [n, d], not {list(a.shape)} and {list(b.shape)}")
    if method not in ("slerp", "lerp") or sampling not in ("full", "end") or not epsilon > 0:
        raise DataError(
            f"path length goes by slerp or lerp, over full or end, with epsilon > 0, "
            f"not by {method} over {sampling} with {epsilon}"
        )
    if method == "slerp" and a.shape[1] < 2:
        raise DataError("latents of one dimension have no arc between them: use method='lerp'")


def _judged(lengths: np.ndarray, extra: dict[str, object]) -> Estimate:
    """The trimmed mean at ε, if that at 10 ε is nearly the same."""
    if not np.isfinite(lengths).all():
        return Estimate(math.nan, why="an image or a feature is not finite", extra=extra)
    whole, coarse = (_trimmed_mean(row) for row in lengths)
    ratio = whole / coarse if coarse else (math.inf if whole else 1.0)  # a constant decoder is flat
    extra = {**extra, "ratio": ratio}
    if not FLAT[0] <= ratio <= FLAT[1]:
        why = (
            f"path length at epsilon {extra['epsilon']:g} is {ratio:.3g} times that at ten times epsilon, "
            f"not {FLAT[0]} to {FLAT[1]}: it measures rounding or bends, not a slope"
        )
        return Estimate(math.nan, why=why, extra=extra)
    if lengths.shape[1] < 2 * SHARDS:
        return Estimate(whole, why=f"{lengths.shape[1]} pairs are fewer than two a shard", extra=extra)
    shards = shard_of(lengths.shape[1])
    found = intervals.jackknife(whole, [_trimmed_mean(lengths[0, shards != k]) for k in range(SHARDS)])
    shift = whole - found.value  # the published number is the plain one: the interval moves to it
    return replace(
        found, value=whole, low=found.low + shift, high=found.high + shift, extra={**found.extra, **extra}
    )


def _trimmed_mean(values: np.ndarray) -> float:
    low = np.percentile(values, TRIM[0], method="lower")
    high = np.percentile(values, TRIM[1], method="higher")
    return float(values[(values >= low) & (values <= high)].mean())
