"""How sure a classifier is of each sample, and how many classes it finds: Inception Score and our own.

    log IS = mean_i Σ_c p_ic log p_ic - Σ_c q_c log q_c,    q = mean_i p_i          (Salimans et al. 2016)

With the Inception network's 1,008 logits it is the Inception Score; with the data's own classifier it is
called classifier score. It lies between 1 and the number of classes, and sees neither copies nor what is
missing inside a class.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Self

import numpy as np

from components.errors import DataError
from components.metrics.intervals import SHARDS, Estimate, jackknife, shard_of

SPLITS, SEED = 10, 2020  # of torch-fidelity's `isc`: other splits give another score
UNIT = 2.0**26  # sums are integers: of multiples of 2^-26, and of what is left in multiples of 2^-52
ROWS = 4096  # that are worked on at a time
SLACK = 1e-2  # by which the probabilities of a row, rounded to float16, may miss 1


class ClassScores:
    """Sums by group of rows (split or shard), from which the score of each and of all follows.

    The state is the counts `[g]`, Σ p `[g, c]` and Σ Σ p log p `[g]`. Sums are exact, of values rounded to
    2^-52: the same rows in the same groups give the same bits in whatever batches, parts and order.
    """

    def __init__(self, classes: int, groups: int = SHARDS) -> None:
        self.counts = np.zeros(groups, np.int64)
        self.sums = np.zeros((2, groups, classes + 1), np.int64)  # Σ p of each class, then Σ Σ p log p
        self.broken = np.zeros(groups, bool)  # has a row that is not finite

    def add(self, given: np.ndarray, groups: np.ndarray, *, logits: bool = False) -> Self:
        """Takes in probabilities (or `logits`) `[n, c]` of rows in groups int `[n]`, and returns itself.

        Raises:
            DataError: another shape, or rows that are no probabilities.
        """
        given, classes = np.asarray(given), self.sums.shape[2] - 1
        if given.shape != (len(groups), classes):
            raise DataError(
                f"a classifier's outputs are [{len(groups)}, {classes}], and these are {list(given.shape)}"
            )
        for start in range(0, len(given), ROWS):
            rows = np.array(given[start : start + ROWS], np.float64, order="C")  # a copy
            self._add(rows, groups[start : start + ROWS], logits, start)
        return self

    def _add(self, rows: np.ndarray, groups: np.ndarray, logits: bool, start: int) -> None:
        finite = np.isfinite(rows).all(axis=1)
        self.broken[groups[~finite]] = True
        rows[~finite] = 1 / rows.shape[1]  # any: their group has no score
        p, log_p = _softmax(rows) if logits else _checked(rows, start)
        values = np.column_stack([p, (p * log_p).sum(axis=1)]) * UNIT
        coarse = np.floor(values)
        fine = np.rint((values - coarse) * UNIT)
        self.counts += np.bincount(groups, minlength=len(self.counts))
        for group in np.unique(groups):
            inside = groups == group
            self.sums[0, group] += coarse[inside].astype(np.int64).sum(axis=0)
            self.sums[1, group] += fine[inside].astype(np.int64).sum(axis=0)

    def merge(self, other: ClassScores) -> Self:
        """Takes in the sums of other rows, which stay as they are, and returns itself.

        Raises:
            DataError: other classes or groups.
        """
        if other.sums.shape != self.sums.shape:
            (groups, classes), (others, other_classes) = self.sums.shape[1:], other.sums.shape[1:]
            raise DataError(
                f"scores of {other_classes - 1} classes in {others} groups cannot be merged with "
                f"{classes - 1} in {groups}"
            )
        self.counts += other.counts
        self.sums += other.sums
        self.broken |= other.broken
        return self

    def log_scores(self) -> np.ndarray:
        """The log of each group's score, nats `[g]`; NaN where it is empty or has a row that is not finite."""
        return np.where(self.broken, np.nan, _log_scores(self.counts, self.sums))

    def log_score(self) -> float:
        """The log of the score of all rows, nats; NaN where there are none or one is not finite."""
        whole = _log_scores(self.counts.sum(keepdims=True), self.sums.sum(axis=1, keepdims=True))
        return math.nan if self.broken.any() else float(whole[0])

    def log_scores_without(self) -> np.ndarray:
        """The log of the score of all rows but those of each group, nats `[g]`: integers subtract exactly."""
        counts = self.counts.sum() - self.counts
        left = _log_scores(counts, self.sums.sum(axis=1, keepdims=True) - self.sums)
        return np.where(self.broken.any(), np.nan, left)

    def estimate(self) -> Estimate:
        """The score of all rows, corrected for its bias (a small set scores low), with the interval of the
        jackknife over the groups on the log scale; `extra["plain"]` is the score as it is.

        Raises:
            DataError: no rows.
        """
        if not self.counts.sum():
            raise DataError("a classifier score needs at least one sample")
        log_score, most = self.log_score(), float(self.sums.shape[2] - 1)
        plain = math.exp(log_score)
        if self.counts.min() < 2:
            why = f"{self.counts.sum()} samples are fewer than two a shard"
            return Estimate(plain, why=why, extra={"plain": plain, "corrected": False})
        found = jackknife(log_score, self.log_scores_without())
        value, low, high = (
            float(np.clip(np.exp(bound), 1.0, most)) for bound in (found.value, found.low, found.high)
        )
        without = tuple(math.exp(one) for one in found.without)
        extra = {"plain": plain}
        if found.estimable:
            extra["standard_error"] = value * found.extra["standard_error"]  # to the first order
        return replace(found, value=value, low=low, high=high, extra=extra, without=without)


def classifier_score(given: np.ndarray, *, logits: bool = False) -> Estimate:
    """The score of samples by their class probabilities (or `logits`) `[n, c]`, with its interval.

    As one set, where the Inception Score cuts ten: it is higher than a score of splits. Row i is in
    shard i mod 20, so rows are in an order drawn by hash.

    Raises:
        DataError: no rows, or rows that are no probabilities.
    """
    return ClassScores(np.shape(given)[-1]).add(given, shard_of(len(given)), logits=logits).estimate()


def inception_score(
    given: np.ndarray, *, logits: bool = False, splits: int = SPLITS, seed: int = SEED
) -> tuple[float, float]:
    """Mean and population standard deviation of the score over splits, as torch-fidelity 0.4 has them.

    Rows are permuted by `RandomState(seed)`; split i has the rows from i n // splits on. The deviation is
    that of splits, not the error of the score. Both change with n and splits: compare at equal ones.

    Raises:
        DataError: fewer rows than splits, or rows that are no probabilities.
    """
    n = len(given)
    if n < splits:
        raise DataError(f"an Inception Score of {splits} splits needs as many samples, and there are {n}")
    bounds = np.arange(splits + 1) * n // splits
    groups = np.empty(n, np.int64)
    groups[np.random.RandomState(seed).permutation(n)] = np.repeat(np.arange(splits), np.diff(bounds))
    scores = np.exp(ClassScores(np.shape(given)[-1], splits).add(given, groups, logits=logits).log_scores())
    return float(scores.mean()), float(scores.std())


def _softmax(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    return np.exp(log_p), log_p


def _checked(p: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    wrong = (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > SLACK)
    if wrong.any():
        raise DataError(
            f"row {start + int(wrong.argmax())} is no distribution over {p.shape[1]} classes: give "
            "probabilities that sum to 1, or say logits=True"
        )
    return p, np.log(np.where(p > 0, p, 1.0))  # 0 log 0 is 0


def _log_scores(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """[g] from counts [g] and sums [2, g, c + 1]."""
    with np.errstate(invalid="ignore"):  # an empty group: 0 / 0
        means = (sums[0] + sums[1] / UNIT) / UNIT / counts[:, None]
    q, certainty = means[:, :-1], means[:, -1]
    entropy = -(q * np.log(np.where(q > 0, q, 1.0))).sum(axis=1)
    return np.asarray(certainty + entropy)
