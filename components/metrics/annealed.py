"""Annealed importance sampling (Neal 2001) of log p(x) for decoders, with its reverse bound.

Chains go from the prior to the posterior through f_β(z) = p(z) p(x | z)^β while log weights gather
Σ_k (β_k - β_{k-1}) log p(x | z_{k-1}); their mean in weights is p(x), so the log of the mean is a lower bound
on average. From an exact posterior draw back to the prior they give 1 / p(x) and so an upper bound: on
examples that the model itself drew, whose latent is such a draw, the two hold log p(x) between them (BDMC:
Grosse, Ghahramani & Adams 2015; Wu et al. 2017). Chains move by Hamiltonian Monte Carlo (Neal 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import Estimate
from components.metrics.likelihood import log_mean_exp

# Of chains [m, d]: log densities [m] and their gradients [m, d], in nats; need not be normalised together.
Density = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
# (latents [m, d], density that is to stay as it is, random) → latents [m, d]
Transition = Callable[[np.ndarray, Density, np.random.Generator], np.ndarray]

RADIUS = 4.0  # of the sigmoid schedule: most steps lie near both ends
ACCEPTED = 0.65  # chance of a proposal that step sizes are led to
FIRST_STEP, RATE, WARM_UP = 0.01, 0.2, 100
JITTER = 0.2  # of step sizes, either way: no trajectory is a whole turn that ends where it began


@dataclass(frozen=True)
class StepSizes:
    """Step sizes `[k, m]` of each chain at even places of the schedule, found on other chains before."""

    table: np.ndarray
    accepted: float  # mean chance of a proposal in the tuning run

    def at(self, place: float) -> np.ndarray:
        """`[m]` at a place in [0, 1] of the schedule."""
        return np.asarray(self.table[min(int(place * len(self.table)), len(self.table) - 1)])


def schedule(steps: int, radius: float = RADIUS) -> np.ndarray:
    """β `[steps + 1]` from 0 to 1 along a sigmoid over [-radius, radius] (Wu et al. 2017).

    Raises:
        DataError: no step.
    """
    if steps < 1:
        raise DataError(f"annealing needs at least one step, and {steps} were asked for")
    curve = 1 / (1 + np.exp(-np.linspace(-radius, radius, steps + 1)))
    return np.asarray((curve - curve[0]) / (curve[-1] - curve[0]))


def tuned(
    log_prior: Density,
    log_joint: Density,
    start: np.ndarray,
    *,
    steps: int = 1000,
    leapfrog: int = 10,
    seed: int = 0,
) -> StepSizes:
    """Step sizes along the schedule, from a shorter run whose chains adapt them towards proposals that are
    accepted with a chance of 0.65: log ε rises by a fifth of what it is more (Andrieu & Thoms 2008).

    They are fixed before the runs that count, because weights of chains that adapt as they go are biased.

    Args:
        log_prior: see `annealed`.
        log_joint: see `annealed`.
        start: draws of the prior `[m, d]`; each chain tunes for its neighbour's, so give them in any order.
        steps: of this run.
        leapfrog: steps of each proposal.
        seed: of the proposals.
    """
    random = np.random.default_rng([seed, 1])
    z = np.roll(np.array(start, np.float64), 1, axis=0)
    sizes = np.full(len(z), FIRST_STEP)
    table, total = np.empty((steps, len(z))), 0.0
    betas = schedule(steps)[1:]
    # Where x says much about z the first steps already weigh: sizes must be right before they begin.
    for k, beta in enumerate([betas[0]] * WARM_UP + list(betas), -WARM_UP):
        z, chance = _hamiltonian(z, _between(log_prior, log_joint, beta), sizes, leapfrog, random)
        sizes = sizes * np.exp(RATE * (chance - ACCEPTED))
        if k >= 0:
            table[k], total = sizes, total + chance.mean()
    return StepSizes(table, total / steps)


def annealed(
    log_prior: Density,
    log_joint: Density,
    start: np.ndarray,
    *,
    steps: int = 10_000,
    step_sizes: StepSizes | float = FIRST_STEP,
    leapfrog: int = 10,
    transition: Transition | None = None,
    reverse: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """Log weights `[m]` of chains: `log_mean_exp` over those of an example is a lower bound on log p(x), or
    with `reverse` minus that is an upper bound.

    Args:
        log_prior: log p(z) and its gradient.
        log_joint: log p(x, z) = log p(z) + log p(x | z) and its gradient in z; each chain has its example.
        start: `[m, d]`: draws of the prior, or with `reverse` of the posterior of each chain's example.
        steps: intermediate densities; 10,000 in the paper, with 16 chains an example.
        step_sizes: of the leapfrog, from `tuned` or one for all.
        leapfrog: steps of each proposal.
        transition: what moves the chains instead; it must leave the density that it is given as it is.
        reverse: from the posterior to the prior.
        seed: of the proposals.

    Raises:
        DataError: a start that is not `[m, d]`, or no step.
    """
    z = np.array(start, np.float64)
    if z.ndim != 2 or not len(z):
        raise DataError(f"chains start from latents [m, d], m > 0, and these are {list(z.shape)}")
    random = np.random.default_rng([seed, 2, int(reverse)])
    betas = schedule(steps)[:: -1 if reverse else 1]
    weights = np.zeros(len(z))
    for k in range(1, steps + 1):
        with np.errstate(invalid="ignore"):
            weights += (betas[k] - betas[k - 1]) * (log_joint(z)[0] - log_prior(z)[0])
        if k == steps:
            break
        density = _between(log_prior, log_joint, betas[k])
        if transition is not None:
            z = transition(z, density, random)
            continue
        place = (steps - k if reverse else k) / steps
        sizes = step_sizes.at(place) if isinstance(step_sizes, StepSizes) else np.full(len(z), step_sizes)
        z, _ = _hamiltonian(z, density, sizes, leapfrog, random)
    return weights


def sandwich(forward: np.ndarray, backward: np.ndarray) -> dict[str, Estimate]:
    """Mean log p(x) in nats of examples that the model drew: `lower`, `upper` and their `gap`, by example.

    The gap bounds how far the lower bound is off on average; on real examples it is a guide only.

    Args:
        forward: log weights `[chains, n]` from `annealed`.
        backward: the same of the same examples with `reverse`, from the latents that they were drawn with.

    Raises:
        DataError: weights of different examples.
    """
    if np.ndim(forward) != 2 or np.ndim(backward) != 2 or np.shape(forward)[1] != np.shape(backward)[1]:
        raise DataError(
            f"both bounds are of the same examples, [chains, n], and these are {list(np.shape(forward))} and "
            f"{list(np.shape(backward))}"
        )
    lower, upper = log_mean_exp(forward), -log_mean_exp(backward)
    with np.errstate(invalid="ignore"):
        gap = upper - lower
    return {"lower": intervals.mean(lower), "upper": intervals.mean(upper), "gap": intervals.mean(gap)}


def _between(log_prior: Density, log_joint: Density, beta: float) -> Density:
    """The geometric path: (1 - β) log p(z) + β log p(x, z)."""

    def density(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (prior, prior_slope), (joint, joint_slope) = log_prior(z), log_joint(z)
        return (1 - beta) * prior + beta * joint, (1 - beta) * prior_slope + beta * joint_slope

    return density


def _hamiltonian(
    z: np.ndarray, density: Density, sizes: np.ndarray, leapfrog: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One proposal of each chain → latents `[m, d]` and the chance with which it was accepted, `[m]`."""
    step = (sizes * random.uniform(1 - JITTER, 1 + JITTER, len(z)))[:, None]
    velocity = random.standard_normal(z.shape)
    level, slope = density(z)
    energy = level - np.square(velocity).sum(axis=1) / 2
    moved = z
    with np.errstate(over="ignore", invalid="ignore"):  # a chain that flies off is not accepted
        for _ in range(leapfrog):
            velocity = velocity + step / 2 * slope
            moved = moved + step * velocity
            level, slope = density(moved)
            velocity = velocity + step / 2 * slope
        rise = level - np.square(velocity).sum(axis=1) / 2 - energy
    chance = np.exp(np.minimum(np.nan_to_num(rise, nan=-np.inf, posinf=0.0), 0))
    accepted = random.random(len(z)) < chance
    return np.where(accepted[:, None], moved, z), chance
