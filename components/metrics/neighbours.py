"""Nearest neighbours: precision and recall of samples, and how many are copies of training examples.

All distances are exact and Euclidean, taken block by block: beside a float64 copy of the examples
they need about 100 MB. A distance of less than a millionth of the two examples' own size is rounding
and counts as 0, so that exact duplicates have distance 0 whatever their dtype.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from components.errors import DataError

BLOCK = 2**22  # distances in one block: 32 MB
ROUNDING = 1e-12  # of squared distances, relative


@dataclass(frozen=True)
class Copies:
    """`rate` of samples that are copies, the `expected` rate of held-out examples by the same rule,
    and the distance `threshold`."""

    rate: float
    expected: float
    threshold: float

    @property
    def excess(self) -> float:
        """What is left of the rate beyond what unseen real examples would show."""
        return self.rate - self.expected


def precision_recall(real: np.ndarray, samples: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall of `samples` `[m, d]` against `real` `[n, d]` (features).

    Precision is the share of samples inside at least one ball around a real example that reaches to
    its k-th nearest other real example (boundary included); recall swaps the roles (Kynkäänniemi et
    al. 2019). Both change with n and m, so compare at equal counts. NaN where a value is not finite.

    Raises:
        DataError: no more than k examples on a side.
    """
    if min(len(real), len(samples)) <= k:
        raise DataError(
            f"precision and recall with {k} neighbours need more than {k} examples on each side, and there "
            f"are {len(real)} real and {len(samples)} samples: give more or lower evaluate.neighbours"
        )
    real, samples = _centred(real, samples)
    if not (np.isfinite(real).all() and np.isfinite(samples).all()):
        return float("nan"), float("nan")
    slack = 1 + 100 * ROUNDING  # a tie with the radius lies inside, whatever the rounding
    real_radii, sample_radii = _radii(real, k) * slack, _radii(samples, k) * slack
    inside_real = np.zeros(len(samples), bool)
    inside_samples = np.zeros(len(real), bool)
    for rows, squared in _squared_distances(samples, real):
        inside_real[rows] = (squared <= real_radii).any(axis=1)
        inside_samples |= (squared <= sample_radii[rows, None]).any(axis=0)
    return float(inside_real.mean()), float(inside_samples.mean())


def nearest(samples: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index `[m]` of and distance `[m]` to the nearest training example of each sample.

    Arrays of any equal trailing shape are taken as flat vectors. Of equally near examples the first
    counts, up to rounding. The distance is NaN where a sample is not finite.

    Raises:
        DataError: no training examples.
    """
    if not len(training):
        raise DataError("there are no training examples to look for neighbours in")
    training, samples = _centred(training, samples)
    index, distance = np.zeros(len(samples), np.int64), np.zeros(len(samples))
    for rows, squared in _squared_distances(samples, training):
        index[rows] = squared.argmin(axis=1)
        # Again by subtraction: exact where the block's expansion |x|² + |y|² - 2xy has rounded, so
        # that distances which are equal (binary images have many) come out equal.
        neighbours = training[index[rows]]
        exact = np.square(samples[rows] - neighbours).sum(axis=1)
        size = np.square(samples[rows]).sum(axis=1) + np.square(neighbours).sum(axis=1)
        distance[rows] = np.sqrt(np.where(exact <= ROUNDING * size, 0.0, exact))
    return index, distance


def copies(samples: np.ndarray, training: np.ndarray, held_out: np.ndarray, quantile: float = 0.01) -> Copies:
    """How many of `samples` lie nearer to a training example than unseen real ones do.

    A copy is nearer to its nearest training example than the `quantile` of `held_out` examples, or
    equal to one. Strictly nearer, because distances of binary or coarse images tie: with "at most"
    a twentieth of honest samples could sit on the threshold and count. Equal ones count even where
    the threshold is 0 (held-out data with duplicates of training data); `expected` says how many
    held-out examples the same rule would call copies.

    Raises:
        DataError: one of the three is empty.
    """
    if not len(samples) or not len(held_out):
        raise DataError(
            f"a copy rate needs samples and held-out examples: {len(samples)} and {len(held_out)}"
        )
    both = np.concatenate([np.reshape(part, (len(part), -1)) for part in (samples, held_out)])
    distance, unseen = np.split(nearest(both, training)[1], [len(samples)])
    threshold = float(np.quantile(unseen, quantile))
    if not np.isfinite(distance).all() or not np.isfinite(threshold):
        return Copies(float("nan"), float("nan"), threshold)
    rate, expected = (float(((d < threshold) | (d == 0)).mean()) for d in (distance, unseen))
    return Copies(rate, expected, threshold)


def copy_rate(
    samples: np.ndarray, training: np.ndarray, held_out: np.ndarray, quantile: float = 0.01
) -> float:
    """The share of samples that are copies: see `copies`. An honest model shows about `quantile`."""
    return copies(samples, training, held_out, quantile).rate


def _centred(reference: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 `[n, d]` about the reference's mean, where products cancel least."""
    reference = np.array(reference, np.float64).reshape(len(reference), -1)
    other = np.array(other, np.float64).reshape(len(other), -1)
    mean = reference.mean(axis=0)
    reference -= mean  # in place: these may be all training images
    other -= mean
    return reference, other


def _radii(points: np.ndarray, k: int) -> np.ndarray:
    """Squared distance `[n]` of each point to its k-th nearest other point."""
    blocks = _squared_distances(points, points)
    # Each point's own distance, 0, is among them: the k-th other is the value at place k.
    return np.concatenate([np.partition(squared, k, axis=1)[:, k] for _, squared in blocks])


def _squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of `a` and their squared distances `[rows, len(b)]` to all of `b`, block by block."""
    b_size = np.einsum("ij,ij->i", b, b)
    count = max(1, BLOCK // len(b))
    for start in range(0, len(a), count):
        rows = slice(start, start + count)
        size = np.square(a[rows]).sum(axis=1)[:, None] + b_size
        squared = a[rows] @ b.T
        squared *= -2
        squared += size
        size *= ROUNDING
        squared *= squared > size  # rounding becomes 0, NaN stays
        yield rows, squared
