"""Recurrent network: a state that is read from the state before and the symbol before.

h_t = tanh(W x_{t-1} + U h_{t-1} + b): the plain one of Elman 1990, a floor for lstm and gru, whose gates keep
what it forgets. Everything but the cell: keras_models.sequence.recurrent.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from keras_models.config import FamilyConfig
from keras_models.sequence import recurrence
from keras_models.sequence.recurrent import RecurrentNetwork


class Config(FamilyConfig):
    units: int = Field(256, ge=1, le=8192, description="width of the state of each layer")
    layers: int = Field(1, ge=1, le=16, description="recurrent layers, one on the other")
    embedding: int = Field(128, ge=1, le=8192, description="width in which what was before is read")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of each layer's outputs hidden while learning")
    chords: Literal["ordered", "independent"] = Field(
        "ordered",
        description="rolls: each pitch given the lower ones too, or pitches independent given the past",
    )
    chord_units: int = Field(128, ge=1, le=4096, description="hidden units of ordered pitches")
    truncate: int = Field(
        0, ge=0, le=65_536, description="steps between updates, over which gradients go; 0: the whole window"
    )
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Adam's step size")
    decay_steps: int = Field(
        0, ge=0, le=10_000_000, description="updates over which the step size falls to a hundredth; 0: never"
    )
    clip: float = Field(1.0, gt=0, le=1e6, description="most global norm of the gradient, in nats a step")


class ElmanNetwork(RecurrentNetwork):
    """Elman's network over symbols or piano rolls."""

    kinds = ("tokens", "roll")
    likelihood = "exact"
    measure = "mass"
    paper = "Elman 1990, Finding Structure in Time"
    mixed_precision = True
    cell = recurrence.RNN

    def log_prob(self, x: Any, length: Any = None) -> Any:
        """See RecurrentNetwork.log_prob."""
        return super().log_prob(x, length)
