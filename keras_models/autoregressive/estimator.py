"""How a linear process is learnt: its orders, what an estimator does with streamed batches, and what it says."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np

from keras_models.base import Batch


class Orders(NamedTuple):
    """Degrees of the polynomials, the differencing and the constant: "none", "mean" or "drift"."""

    ar: int
    ma: int
    delta: tuple[float, ...]
    trend: str


class Estimator(Protocol):
    """How the parameters of a LinearProcess are learnt from streamed batches."""

    kept: Any  # variables that a resume needs and the model does not

    def add(self, batch: Batch) -> dict[str, Any]:
        """Adds what is needed of a batch, and returns the training curves."""

    def solve(self) -> None:
        """At the end of an epoch: assigns the model's parameters."""


def assign(weight: Any, value: Any) -> None:
    """Sets a parameter, unless it is empty."""
    if 0 not in weight.shape:
        weight.assign(value)


def tell_failures(family: str, estimated: np.ndarray, outside: np.ndarray) -> None:
    """Says which series `[groups, C]` could not be estimated and which ones had to be made stationary.

    Raises:
        ValueError: none could be estimated.
    """
    if not estimated.any():
        raise ValueError(
            f"no series can be estimated by family '{family}': each is constant, missing, or too short for its order"
        )
    first = int(len(estimated) > 1)  # row 0 of a panel is the typical process
    failed = int((~estimated[first:]).sum())
    if failed:
        warnings.warn(
            f"{failed} of {estimated[first:].size} series are constant, missing or too short for the order: they "
            "are given the typical process",
            stacklevel=2,
        )
    if outside.any():
        warnings.warn(
            f"{int(outside[first:].sum())} of {outside[first:].size} series look as if they were not stationary: "
            "their roots are brought inside the unit circle; difference them, or use arima",
            stacklevel=2,
        )
