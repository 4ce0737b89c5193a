"""Polynomials of a seasonal process: their degrees, where searches for them begin, and how their orders compare."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_models.autoregressive.kalman import Process
from keras_models.autoregressive.panel_optimizer import UNKNOWN
from keras_models.autoregressive.stationarity import invertible, product, stationary

STARTS = (  # of autoregression and moving average, near and seasonal
    (0.05, 0.05, 0.05, 0.05),
    (2.0, -2.0, 2.0, -2.0),
    (-2.0, 2.0, -2.0, 2.0),
    (2.0, -2.0, -2.0, 2.0),
    (-2.0, 2.0, 2.0, -2.0),
)


class Polynomials(NamedTuple):
    """Degrees of phi and theta, near and seasonal, and the differencing `delta`."""

    ar: int
    ma: int
    seasonal_ar: int
    seasonal_ma: int
    season: int
    delta: tuple[float, ...]

    @property
    def size(self) -> int:
        """Free numbers of one process."""
        return self.ar + self.ma + self.seasonal_ar + self.seasonal_ma

    @property
    def degrees(self) -> tuple[int, int]:
        """Of the products."""
        return self.ar + self.season * self.seasonal_ar, self.ma + self.season * self.seasonal_ma

    def process(self, free: Any) -> Process:
        """The processes that free numbers `[size, U]` stand for."""
        ar, ma, seasonal_ar, seasonal_ma = tf.split(
            free, [self.ar, self.ma, self.seasonal_ar, self.seasonal_ma]
        )
        return Process(
            product(stationary(ar), stationary(seasonal_ar), self.season, -1),
            product(invertible(ma), invertible(seasonal_ma), self.season, 1),
            self.delta,
        )

    def candidates(self, choose: bool) -> Candidates:
        """Where searches begin, of these orders or, to `choose`, of all up to them.

        A number that is 0 is a partial autocorrelation of 0, and the last of them make a lower order: so all orders
        are one program, and differ in which numbers are free.
        """
        degrees = self[:4]
        orders = np.ndindex(*(n + 1 for n in degrees)) if choose else [degrees]
        start, free, kinds = [], [], []
        for kind, order in enumerate(orders):
            own = np.concatenate([np.arange(n) < m for n, m in zip(degrees, order, strict=True)])
            cancel = (order[0] or order[2]) and (order[1] or order[3])  # else one peak
            for begin in STARTS if all(order) else STARTS[:3] if cancel else STARTS[:1]:
                start.append(np.where(own, np.repeat(begin, degrees), 0.0))
                free.append(own)
                kinds.append(kind)
        return Candidates(np.array(start), np.array(free, bool), np.array(kinds))


class Candidates(NamedTuple):
    """Searches of one process: `start` `[S, size]`, which numbers are `free` `[S, size]`, and `kinds` `[S]`, which
    ones are the same but for where they begin."""

    start: np.ndarray
    free: np.ndarray
    kinds: np.ndarray


class Panel(NamedTuple):
    """Estimates of U processes: `free` `[U, size]`, `regression` `[U, k]`, and `[U]` the variance, the log
    likelihood and the number of values that it is of, 0 where nothing could be estimated."""

    free: np.ndarray
    regression: np.ndarray
    variance: np.ndarray
    log_likelihood: np.ndarray
    observations: np.ndarray


def aicc(nats: Any, numbers: Any, count: Any) -> np.ndarray:
    """Akaike's criterion corrected for few values (Hurvich & Tsai 1989): smaller is better; UNKNOWN where it is not
    defined.

    Args:
        nats: negative log likelihood. numbers: that were estimated, the variance too. count: values.
    """
    rest = count - numbers - 1
    found = 2 * nats + 2 * numbers + 2 * numbers * (numbers + 1) / np.where(rest > 0, rest, 1)
    return np.where((rest > 0) & (found < UNKNOWN), found, UNKNOWN)
