"""Likelihoods in the units that papers quote. Sums are float64, and ratios are of sums, never means
of batch means: padding and a short last batch would weigh wrongly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import SHARDS, Estimate

FEW_EFFECTIVE = 10  # importance samples, under which a bound is loose and its error is not seen


def nats(log_prob: np.ndarray) -> tuple[float, float]:
    """Mean negative log-likelihood of `log_prob` `[n]` (nats) and its standard error.

    The standard error of a single example is NaN.

    Raises:
        ValueError: no examples.
    """
    values = -np.asarray(log_prob, np.float64).ravel()
    if not values.size:
        raise ValueError("a mean log-likelihood needs at least one example")
    if values.size == 1:
        return float(values[0]), float("nan")
    with np.errstate(invalid="ignore"):  # an impossible example: infinite mean, no error to state
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(values.size))


def bits_per_dim(nats: float, dimensions: int) -> float:
    """Nats per example → bits per entry of `dimensions` (H·W·C: the channels count)."""
    return nats / (dimensions * math.log(2))


def bits_per_char(total_nats: float, total_characters: int) -> float:
    """Negative log-likelihood of a whole text → bits per character."""
    return total_nats / (total_characters * math.log(2))


def perplexity(total_nats: float, total_tokens: int) -> float:
    """exp(nats per token) of a whole text: as hard as a choice among so many equal symbols."""
    per_token = total_nats / total_tokens
    return math.exp(per_token) if not per_token > 700 else math.inf  # 700: the range of float64


def negative_log_likelihood(log_prob: np.ndarray) -> Estimate:
    """Mean of -`log_prob` `[n]` in nats per example, with Student's interval.

    Raises:
        DataError: no examples.
    """
    return intervals.mean(-np.asarray(log_prob, np.float64))


def importance_bound(log_weights: np.ndarray) -> Estimate:
    """Negative log-likelihood of at most so many nats per example (Burda et al. 2016, IWAE).

    -log (1/K) Σ_k w_k with w = p(x, z) / q(z | x): its mean is never below the exact one and falls towards
    it as K grows. The interval is over examples and holds the bound, not the exact value. `extra` has
    `importance_samples` K, `elbo` (the same with K = 1, in nats), `effective_samples`, the median over
    examples of (Σw)² / Σw², and a `warning` where that is under 10.

    Args:
        log_weights: log w, `[K, n]`; of annealed importance sampling too.

    Raises:
        DataError: another shape, or no weights.
    """
    log_weights = _weights(log_weights)
    count = len(log_weights)
    found = intervals.mean(-log_mean_exp(log_weights))
    extra = {**found.extra, "importance_samples": count, "elbo": elbo(log_weights).value}
    if count > 1:
        effective = effective_samples(log_weights)
        median = float(np.median(effective))
        extra["effective_samples"] = median
        if not median >= FEW_EFFECTIVE:
            extra["warning"] = (
                f"half of the examples have {median:.3g} effective importance samples of {count} or fewer, "
                f"under {FEW_EFFECTIVE}: the bound is loose and its interval too narrow"
            )
    return replace(found, extra=extra)


def elbo(log_weights: np.ndarray) -> Estimate:
    """Negative evidence lower bound in nats per example (Kingma & Welling 2014), from log weights `[K, n]`:
    each example's mean over K, then the mean of those, with Student's interval. Errors as above."""
    with np.errstate(invalid="ignore"):
        return intervals.mean(-_weights(log_weights).mean(axis=0))


def log_mean_exp(log_weights: np.ndarray) -> np.ndarray:
    """log (1/K) Σ_k exp of `[K, n]` → float64 `[n]`, whatever the size of the terms."""
    log_weights = np.asarray(log_weights, np.float64)
    top = log_weights.max(axis=0)
    with np.errstate(divide="ignore", over="ignore"):
        finite = np.where(np.isinf(top), 0, top)  # weights that are all zero: -∞ - -∞ is no number
        return finite + np.log(np.exp(log_weights - finite).mean(axis=0))


def effective_samples(log_weights: np.ndarray) -> np.ndarray:
    """(Σw)² / Σw² of log weights `[K, n]` → `[n]`, 1 to K (Kong 1992); NaN where all weights are zero."""
    log_weights = np.asarray(log_weights, np.float64)
    with np.errstate(invalid="ignore"):
        weights = np.exp(log_weights - log_weights.max(axis=0))
        return np.square(weights.sum(axis=0)) / np.square(weights).sum(axis=0)


def quantised_bits_per_dim(
    found: Estimate,
    dimensions: int,
    *,
    step: float,
    dequantisation: Literal["uniform", "variational", "gaussian"],
) -> Estimate:
    """A density's nats per example → bits per entry of the whole numbers it was dequantised from.

    bits = nats / (D ln 2) - log₂ step: with noise over one step, the density times its volume is a bound on
    the probability (Theis et al. 2016). Of bytes the offset is 0 where the model sees 0 to 256, +8 for
    x / 256 (`step=1/256`), +7 for x / 128 - 1 (`step=1/128`), and 7.994 for x / 255.

    Args:
        found: nats per example of the density in the model's units.
        dimensions: entries of an example, H·W·C.
        step: between neighbouring grey levels in the model's units.
        dequantisation: the noise, kept in `extra`; numbers under different noise do not compare.

    Raises:
        DataError: dimensions or a step that are not positive.
    """
    if not (dimensions > 0 and step > 0):
        raise DataError(f"bits per dimension need dimensions and a step above 0, not {dimensions} and {step}")
    factor, offset = 1 / (dimensions * math.log(2)), -math.log2(step)
    made = found.scaled(factor)
    extra = {
        **found.extra,
        "plain": made.plain + offset,
        "offset_bits": offset,
        "dequantisation": dequantisation,
    }
    for name in {"standard_error", "elbo"} & set(found.extra):
        extra[name] = found.extra[name] * factor + (offset if name == "elbo" else 0)
    return replace(
        made,
        value=made.value + offset,
        low=made.low + offset,
        high=made.high + offset,
        extra=extra,
        without=tuple(value + offset for value in made.without),
    )


def token_likelihood(
    nats: np.ndarray, tokens: np.ndarray, utf8_bytes: np.ndarray | None = None
) -> dict[str, Estimate]:
    """`bits_per_token`, `perplexity` and, where bytes are given, `bits_per_byte`: ratios of sums.

    Each row is a document, or the sums over any part of the text: a shard, a batch. From 40 rows on they
    are dealt to 20 shards; fewer are each a shard of their own. Intervals are jackknives over these.

    Args:
        nats: negative log-likelihood of each row, in all, `[n]`.
        tokens: how many tokens it is of, `[n]`.
        utf8_bytes: how many bytes of UTF-8 these encode, `[n]`.

    Raises:
        DataError: no rows, or a sum of tokens or bytes that is not positive.
    """
    per_token = nats_per(nats, tokens)
    found = {"bits_per_token": per_token.scaled(1 / math.log(2))}
    found["perplexity"] = replace(
        per_token,
        value=perplexity(per_token.value, 1),
        low=perplexity(per_token.low, 1),
        high=perplexity(per_token.high, 1),
        extra={"plain": perplexity(per_token.plain, 1)},
        without=tuple(perplexity(value, 1) for value in per_token.without),
    )
    if utf8_bytes is not None:
        found["bits_per_byte"] = nats_per(nats, utf8_bytes).scaled(1 / math.log(2))
    return found


def nats_per(nats: np.ndarray, units: np.ndarray) -> Estimate:
    """Σ nats / Σ units, both `[n]` (time steps, tokens, bytes of each row), with a jackknife over shards of
    rows, or over the rows where they are few.

    Raises:
        DataError: no rows, or a sum of units that is not positive.
    """
    nats, units = (np.asarray(part, np.float64).ravel() for part in (nats, units))
    found = intervals.ratio(nats, units)
    rest = units.sum() - units
    if not 2 <= len(nats) < 2 * SHARDS or not (rest > 0).all():
        return found
    return intervals.jackknife(found.plain, (nats.sum() - nats) / rest)


def _weights(log_weights: np.ndarray) -> np.ndarray:
    log_weights = np.asarray(log_weights, np.float64)
    if log_weights.ndim != 2 or not log_weights.size:
        raise DataError(
            f"log weights are [K, n] with K and n above 0, and these are {list(log_weights.shape)}"
        )
    return log_weights
