"""How text is judged: by the tokens that samples use, how they repeat, and what they copy from training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from components.metrics.ngrams import Sequences
from components.metrics.text import text_metrics
from components.text_units import unit_of
from components.yardsticks import Base, Judged

TRAINING_TOKENS = 2_000_000  # most that copies are looked for among
HELD_OUT_TOKENS = 500_000  # most that samples are compared with


class Yardstick(Base):
    """See components.yardsticks."""

    main = "bigram_js"

    def judge(self, samples: np.ndarray, split: str) -> Judged:
        """See components.yardsticks."""
        train, held = (self._sequences(name) for name in ("train", split))
        known, real = _most(train, TRAINING_TOKENS), _most(held, HELD_OUT_TOKENS)
        drawn = Sequences.of(samples, lengths(samples, unit_of(self.encoding).padding))
        found = text_metrics(drawn, real, known, seed=self.settings.seed)
        protocol = {
            "unit": self.encoding.get("unit", "characters"),
            "real": len(real),
            "training": len(known),
        }
        return Judged({name: replace(one, extra={**protocol, **one.extra}) for name, one in found.items()})

    def sizes(self, split: str) -> np.ndarray:
        """See components.yardsticks."""
        unit = unit_of(self.encoding)
        rows = zip(self.data[split]["x"], self.data[split]["length"], strict=True)
        return np.array([len(unit.text(x[:length].tolist()).encode()) for x, length in rows], np.int64)

    def _sequences(self, split: str) -> Sequences:
        return Sequences.of(self.data[split]["x"], self.data[split]["length"])


def lengths(samples: np.ndarray, padding: int) -> np.ndarray:
    """Tokens of each sample `[n]`: what follows the last one that is no padding does not count."""
    own = samples != padding
    return np.where(own.any(axis=1), samples.shape[1] - own[:, ::-1].argmax(axis=1), 0)


def _most(sequences: Sequences, tokens: int) -> Sequences:
    """The first sequences, of so many tokens together: one at least."""
    count = int(np.searchsorted(np.cumsum(sequences.lengths), tokens, side="right"))
    return sequences.take(np.arange(min(max(count, 1), len(sequences))))
