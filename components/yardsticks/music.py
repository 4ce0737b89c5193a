"""How music is judged: as scores, by pitch, rhythm and harmony of pieces, and by what they copy."""

from __future__ import annotations

import math

import numpy as np

from components.errors import DataError
from components.metrics.intervals import Estimate
from components.metrics.music import features, music_metrics
from components.metrics.two_sample import classifier_two_sample
from components.music_grids import VOICES
from components.scores import Score
from components.yardsticks import Base, Judged, without_copies
from components.yardsticks.protocols import measured_on

PIECES = 2_000  # most training examples that copies are looked for among
HELD_OUT = 500  # most held-out examples that samples are compared with


class Yardstick(Base):
    """See components.yardsticks."""

    main = "feature_overlap"

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks."""
        drawn = self._decoded(samples, self._lengths(samples, split))
        return self._compared(drawn, split)

    def reference(self, split: str, count: int) -> Judged:
        """See components.yardsticks. Training examples as long as they are: their padding is no silence."""
        return without_copies(self._compared(self._scores("train", count), split))

    def _compared(self, drawn: list[Score], split: str) -> Judged:
        real, known = self._scores(split, HELD_OUT), self._scores("train", PIECES)
        found = music_metrics(drawn, real, known)
        sides = [np.nan_to_num(np.stack(list(features(one).values()), axis=1)) for one in (real, drawn)]
        try:
            found["classifier_accuracy"] = classifier_two_sample(*sides, seed=self.settings.seed)
        except DataError as error:  # fewer pieces than it takes
            found["classifier_accuracy"] = Estimate(math.nan, why=str(error))
        form = self.encoding["form"]
        return Judged(measured_on(found, form=form, real=len(real), training=len(known)))

    def _scores(self, split: str, most: int) -> list[Score]:
        """The first examples of a split as scores, without their padding."""
        data = self.data[split]
        return self._decoded(data["x"][:most], data["length"][:most])

    def _lengths(self, samples: np.ndarray, split: str) -> np.ndarray:
        """Where each sample `[n, length, ...]` ends. Events say so themselves. Of the other forms, which fill a
        window, a sample gets the length of a held-out window, as a window cut short has fewer pitches; and
        silence at its end is padding, as of a piece from a file."""
        if self.encoding["form"] == "events":
            return np.full(len(samples), samples.shape[1])
        held = self.data[split]["length"]
        drawn = np.random.default_rng(self.settings.seed).permutation(np.arange(len(samples)) % len(held))
        own: np.ndarray = np.any(samples.reshape(*samples.shape[:2], -1) > 0.5, axis=2)  # as decode has it
        last = samples.shape[1] - own[:, ::-1].argmax(axis=1)
        whole = -(-np.where(np.any(own, axis=1), last, 1) // self._tokens_a_step) * self._tokens_a_step
        return np.minimum(held[drawn], whole)

    @property
    def _tokens_a_step(self) -> int:
        return VOICES if self.encoding["form"] == "voices" else 1

    def _decoded(self, x: np.ndarray, length: np.ndarray) -> list[Score]:
        decode = self.examples.modality.decode
        return [decode(row[None, :end], self.encoding)[0] for row, end in zip(x, length, strict=True)]
