"""The likelihood of a latent variable model between two bounds, by annealing: slow, and only where asked for.

From below: annealed importance sampling on held-out examples (Wu et al. 2017). From above: the same chains
run backwards from the posterior, which is known only of examples that the model itself has drawn (Grosse et
al. 2015). What lies between them on drawn examples says how far the lower bound can be trusted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from components.metrics.annealed import Density, annealed, sandwich, tuned
from components.metrics.intervals import Estimate, mean
from components.metrics.likelihood import log_mean_exp

CHAINS = 16  # of each example, as in the paper


def annealed_bounds(model: Any, x: np.ndarray, *, steps: int, seed: int) -> dict[str, Estimate]:
    """`nats_annealed` of held-out examples `[n, ...]` (an upper bound on nats per example, as its chains bound
    the likelihood from below), with the `gap` between both bounds on as many drawn examples in `extra`."""
    n = len(x)
    held = _log_weights(model, x, _prior_draws(model, n * CHAINS, seed), steps, seed)
    drawn, latents = (np.asarray(part) for part in model.simulate(n, (seed, 2)))
    forward = _log_weights(model, drawn, _prior_draws(model, n * CHAINS, seed + 1), steps, seed)
    backward = _log_weights(model, drawn, np.repeat(latents, CHAINS, axis=0), steps, seed, reverse=True)
    both = sandwich(forward, backward)
    found = mean(-log_mean_exp(held))
    told = {name: one.value for name, one in both.items()}
    return {
        "nats_annealed": replace(
            found, extra={**found.extra, "n": n, "chains": CHAINS, "steps": steps, "drawn": told}
        )
    }


def _prior_draws(model: Any, n: int, seed: int) -> np.ndarray:
    return np.asarray(model.latents(n, seed=seed), np.float64)


def _log_weights(
    model: Any, x: np.ndarray, start: np.ndarray, steps: int, seed: int, reverse: bool = False
) -> np.ndarray:
    """Log weights `[CHAINS, n]` of chains that start at `start` `[n * CHAINS, d]`, those of an example
    side by side."""
    chained = np.repeat(x, CHAINS, axis=0)
    prior, joint = _densities(model, chained)
    tuning = _prior_draws(model, len(chained), seed + 7)
    sizes = tuned(prior, joint, tuning, steps=max(steps // 10, 10), seed=seed)
    weights = annealed(prior, joint, start, steps=steps, step_sizes=sizes, reverse=reverse, seed=seed)
    return weights.reshape(len(x), CHAINS).T


def _densities(model: Any, x: np.ndarray) -> tuple[Density, Density]:
    """log p(z) and log p(x, z), each with its gradient in z."""
    import tensorflow as tf

    given = tf.constant(x, tf.float32)

    @tf.function(reduce_retracing=True)
    def joint(z: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = model.joint_log_prob(given, z)
        return value, tape.gradient(value, z)

    @tf.function(reduce_retracing=True)
    def prior(z: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = model.prior().log_prob(z)
        return value, tape.gradient(value, z)

    def of(function: Any) -> Density:
        def density(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, slope = function(tf.constant(z, tf.float32))
            return np.asarray(value, np.float64), np.asarray(slope, np.float64)

        return density

    return of(prior), of(joint)
