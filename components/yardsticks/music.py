"""How music is judged: as scores, by pitch, rhythm and harmony of pieces, and by what they copy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from components.errors import DataError
from components.metrics.intervals import Estimate
from components.metrics.music import features, music_metrics
from components.metrics.two_sample import classifier_two_sample
from components.scores import Score
from components.yardsticks import Base, Judged

PIECES = 2_000  # most training examples that copies are looked for among
HELD_OUT = 500  # most held-out examples that samples are compared with


class Yardstick(Base):
    """See components.yardsticks."""

    main = "feature_overlap"

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks."""
        decode = self.examples.modality.decode
        drawn = decode(samples, self.encoding)
        real, known = self._scores(split, HELD_OUT), self._scores("train", PIECES)
        found = music_metrics(drawn, real, known)
        sides = [np.nan_to_num(np.stack(list(features(one).values()), axis=1)) for one in (real, drawn)]
        try:
            found["classifier_accuracy"] = classifier_two_sample(*sides, seed=self.settings.seed)
        except DataError as error:  # fewer pieces than it takes
            found["classifier_accuracy"] = Estimate(math.nan, why=str(error))
        protocol = {"form": self.encoding["form"], "real": len(real), "training": len(known)}
        return Judged({name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()})

    def _scores(self, split: str, most: int) -> list[Score]:
        """The first examples of a split as scores, without their padding."""
        data = self.data[split]
        rows = data["x"][:most]
        cut = data["length"][:most] if "length" in data else np.full(len(rows), rows.shape[1])
        decode = self.examples.modality.decode
        return [decode(x[None, :length], self.encoding)[0] for x, length in zip(rows, cut, strict=True)]
