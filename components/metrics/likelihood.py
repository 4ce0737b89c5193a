"""Likelihoods in the units that papers quote. Sums are float64, and ratios are of sums, never means
of batch means: padding and a short last batch would weigh wrongly."""

from __future__ import annotations

import math

import numpy as np


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
