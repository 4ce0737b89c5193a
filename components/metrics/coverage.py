"""Modes: which of them samples reach, which are missing, how many kinds there are, and what shows a collapse.

Where modes are known: mixtures (Srivastava et al. 2017, VEEGAN) and decoded labels (Stacked-MNIST, Metz et
al. 2017); classes are in `missing`. Where not: bins of training data (NDB, Richardson & Weiss 2018), repeats
(Arora & Zhang 2018), and the effective number of examples (Vendi score, Friedman & Dieng 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.classes import jensen_shannon
from components.metrics.intervals import SHARDS, Estimate, holm, shard_of
from components.metrics.missing import Missing, counted
from components.metrics.moments import Moments, ShardedMoments

AT_ONCE = 1 << 20  # entries of a block of differences
FEW_REPEATS = 1e-3  # a real rate under this says no more than this: the detector multiplies it


def captured(samples: np.ndarray, centres: np.ndarray, std: float | np.ndarray) -> dict[str, Estimate]:
    """Of a mixture with known modes: `modes_captured`, those that are nearest to at least one sample of high
    quality, and `high_quality_share`, the share of samples within 3 σ of their nearest mode.

    Args:
        samples: `[n, d]`.
        centres: of the modes, `[k, d]`.
        std: σ of every mode, or `[k]`.

    Raises:
        DataError: no samples, or dimensions that differ.
    """
    samples, centres = np.asarray(samples, np.float64), np.asarray(centres, np.float64)
    if samples.ndim != 2 or not len(samples) or centres.shape[1:] != samples.shape[1:]:
        raise DataError(
            f"samples [n, d] and modes [k, d] share d, and these are {list(samples.shape)} and "
            f"{list(centres.shape)}"
        )
    if not np.isfinite(samples).all():
        spoilt = Estimate(math.nan, why="a sample is not finite")
        return {"modes_captured": spoilt, "high_quality_share": spoilt}
    size = max(AT_ONCE // centres.size, 1)
    nearest, squares = [], []
    for start in range(0, len(samples), size):
        apart = np.square(samples[start : start + size, None] - centres).sum(axis=2)
        nearest.append(apart.argmin(axis=1))
        squares.append(apart.min(axis=1))
    mode = np.concatenate(nearest)
    good = np.concatenate(squares) <= np.square(3 * np.broadcast_to(std, len(centres)))[mode]
    return {
        "modes_captured": intervals.exactly(len(np.unique(mode[good]))),
        "high_quality_share": intervals.share(good),
    }


def decoded(predicted: np.ndarray, modes: int) -> dict[str, Estimate]:
    """Of samples that a classifier decodes into one of `modes` equally likely modes, int `[n]`:
    `modes_captured`, with how many so many perfect samples would reach as `extra["expected"]`, and
    `kl_to_uniform` in nats, whose plug-in bias of about modes / 2n the jackknife takes off.

    Raises:
        DataError: nothing predicted, or a mode out of range.
    """
    counts = counted(predicted, modes)
    reached = int((counts > 0).sum())
    n = len(np.asarray(predicted))
    expected = -modes * math.expm1(n * math.log1p(-1 / modes)) if modes > 1 else 1.0
    extra = {"expected": expected, "of": modes}
    found = {"modes_captured": Estimate(reached, reached, reached, "counted", extra=extra)}
    whole = _kl_to_uniform(counts)
    if n < 2 * SHARDS:
        found["kl_to_uniform"] = Estimate(whole, why=f"{n} samples are fewer than two a shard")
        return found
    shards = shard_of(n)
    without = [
        _kl_to_uniform(counts - counted(np.asarray(predicted)[shards == k], modes)) for k in range(SHARDS)
    ]
    found["kl_to_uniform"] = intervals.jackknife(whole, without)
    return found


def different_bins(counts: np.ndarray, real_counts: np.ndarray, level: float = 0.05) -> Estimate:
    """NDB: the share of bins whose proportion of samples differs from that of real examples, by a z test of
    two proportions at `level` each, as published: a sound generator has about `level`. `extra["after_holm"]`
    is how many differ when the number of tests is allowed for, which a sound one has none of.

    Args:
        counts: samples in each bin `[K]`; the bins are fitted on training data.
        real_counts: real examples in each bin `[K]`.
        level: of each test.

    Raises:
        DataError: numbers of bins that differ, or an empty set.
    """
    own, real = (np.asarray(part, np.float64) for part in (counts, real_counts))
    if own.shape != real.shape or own.ndim != 1 or not (own.sum() > 0 and real.sum() > 0):
        raise DataError("NDB compares the counts of two sets, neither of them empty, in the same bins")
    n, m = own.sum(), real.sum()
    pooled = (own + real) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = np.abs(own / n - real / m) / np.where(spread > 0, spread, 1)
    p = np.array([math.erfc(value / math.sqrt(2)) for value in z])
    differ = p < level
    extra = {
        "different": int(differ.sum()),
        "bins": len(p),
        "after_holm": int(holm(p, level).sum()),
        "jensen_shannon": jensen_shannon(own / n, real / m),
    }
    return Estimate(float(differ.mean()), why="a count of tests that were rejected", extra=extra)


def support_size(pairs: int, n: int) -> Estimate:
    """How many different examples a generator has, from how many pairs among `n` samples are the same (to
    the eye, or nearer than a threshold): n (n - 1) / 2 over `pairs`, exact for equally likely ones and too
    small for others. The bounds are Wilson's for the share of pairs.

    Without any such pair the size is infinite, and `low` is what it is at least.

    Raises:
        DataError: fewer than two samples, or more pairs than there are.
    """
    if n < 2:
        raise DataError(f"repeats need two samples or more, and there are {n}")
    share = intervals.wilson(pairs, n * (n - 1) // 2)
    low, high = 1 / share.high, 1 / share.low if share.low > 0 else math.inf
    extra = {"pairs": pairs, "n": n}
    if not pairs:
        return Estimate(math.inf, low, math.inf, why=f"no two of {n} samples are the same", extra=extra)
    return Estimate(1 / share.value, low, high, "Wilson, of pairs", extra=extra)


def directions(features: np.ndarray) -> np.ndarray:
    """Rows `[n, d]` at unit length in float64: what the moments of a Vendi score are of. Zero becomes NaN."""
    features = np.asarray(features, np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return features / np.linalg.norm(features, axis=1, keepdims=True)


def vendi(moments: ShardedMoments) -> Estimate:
    """Vendi score: how many wholly different examples are as diverse as these, exp of the entropy of the
    eigenvalues of the cosine kernel K / n, 1 to min(n, d).

    K / n `[n, n]` and the mean outer product of unit features `[d, d]` share their eigenvalues, so moments
    are enough: `vendi(ShardedMoments.of(directions(features)))`, or merged from anywhere. A finite set is
    less diverse than what it is drawn from; the jackknife takes that off to first order (`extra["plain"]`
    is the published number). Compare sets of one size.

    Raises:
        DataError: no examples.
    """
    whole = moments.whole()
    if not whole.n:
        raise DataError("a Vendi score needs at least one example")
    plain = _diversity(whole)
    if not math.isfinite(plain):
        return Estimate(math.nan, why="a feature is not finite, or a row of features is zero")
    if whole.n < 2.3 * len(whole.mean) or whole.n < 2 * SHARDS:
        why = f"{whole.n} examples for {len(whole.mean)} features: fewer than 2.3 a feature or two a shard"
        return Estimate(plain, why=why, extra={"plain": plain})
    return intervals.jackknife(plain, [_diversity(part) for part in moments.without_each()])


def _diversity(moments: Moments) -> float:
    second = moments.scatter / moments.n + np.outer(moments.mean, moments.mean)
    if not np.isfinite(second).all():
        return math.nan
    shares = np.linalg.eigvalsh(second)
    shares = shares[shares > len(shares) * np.finfo(np.float64).eps]  # what is smaller is rounding
    return float(np.exp(-(shares * np.log(shares)).sum()))


def collapse(
    *,
    coverage: float | None = None,
    expected_coverage: float = 1.0,
    recall: float | None = None,
    duplicate_rate: float | None = None,
    real_duplicate_rate: float = 0.0,
    vendi_ratio: float | None = None,
    missing: Missing | None = None,
    names: Sequence[str] | None = None,
) -> str:
    """The sentence of what shows a mode collapse, or "" where nothing does. None or NaN is not measured.

    Any one is enough: coverage under half of what equal distributions have, unless half of the real examples
    or more lie among the samples (recall): these then spread as wide as the data and miss them, which is no
    collapse but poor, as other metrics say; more than 10 times the repeats of real examples (of which 1 in
    1,000 is taken as the least that can be told); a Vendi score under half that of as many real examples; a
    class at under 10 % of its expected count with p < 0.001.
    """
    shown = []
    wide = recall is not None and recall >= 0.5
    if coverage is not None and coverage < expected_coverage / 2 and not wide:
        shown.append(f"coverage is {coverage:.3g}, under half of the {expected_coverage:.3g} of equal sets")
    if duplicate_rate is not None and duplicate_rate > 10 * max(real_duplicate_rate, FEW_REPEATS):
        shown.append(
            f"{duplicate_rate:.1%} of samples are repeats, more than 10 times the {real_duplicate_rate:.1%} of "
            f"real examples"
        )
    if vendi_ratio is not None and vendi_ratio < 0.5:
        shown.append(f"the Vendi score is {vendi_ratio:.2f} of that of as many real examples, under half")
    for c in missing.starved() if missing is not None else []:
        assert missing is not None
        name = names[c] if names is not None else c
        shown.append(
            f"class {name} has {missing.counts[c]} samples where {missing.expected[c]:.0f} are expected "
            f"(p = {missing.p[c]:.1g})"
        )
    return f"Mode collapse: {'; '.join(shown)}." if shown else ""


def _kl_to_uniform(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float((p * np.log(p * len(counts))).sum())
