"""How text is judged: by the tokens that samples use, how they repeat, and what they copy from training."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from components.errors import DataError
from components.metrics.intervals import Estimate
from components.metrics.ngrams import Sequences
from components.metrics.text import text_metrics
from components.metrics.two_sample import classifier_two_sample
from components.text_units import unit_of
from components.yardsticks import Base, Judged

TRAINING_TOKENS = 2_000_000  # most that copies are looked for among
SYMBOLS, PAIRED = 40, 8  # commonest symbols, of which pairs: what a classifier tells texts apart by
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
        symbols = np.argsort(-np.bincount(known.tokens), kind="stable")[:SYMBOLS]
        sides = [shares(one, symbols) for one in (real, drawn)]
        try:
            found["classifier_accuracy"] = classifier_two_sample(*sides, seed=self.settings.seed)
        except DataError as error:  # fewer sequences than it takes
            found["classifier_accuracy"] = Estimate(math.nan, why=str(error))
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


def shares(sequences: Sequences, symbols: np.ndarray) -> np.ndarray:
    """How much of each sequence is each of `symbols` `[k]`, and of each pair of the commonest ones: what two
    sets of texts are told apart by. float64 `[n, k + PAIRED²]`."""
    place = np.full(int(max(sequences.tokens.max(initial=0), symbols.max(initial=0))) + 1, len(symbols))
    place[symbols] = np.arange(len(symbols))
    found, owner = place[sequences.tokens], sequences.owner
    width = len(symbols) + PAIRED * PAIRED
    counts = np.zeros((len(sequences), width))
    mine = found < len(symbols)
    np.add.at(counts, (owner[mine], found[mine]), 1)
    pair = (found[:-1] < PAIRED) & (found[1:] < PAIRED) & (owner[:-1] == owner[1:])
    np.add.at(counts, (owner[:-1][pair], len(symbols) + found[:-1][pair] * PAIRED + found[1:][pair]), 1)
    return counts / np.maximum(sequences.lengths, 1)[:, None]


def lengths(samples: np.ndarray, padding: int) -> np.ndarray:
    """Tokens of each sample `[n]`: what follows the last one that is no padding does not count."""
    own = samples != padding
    return np.where(own.any(axis=1), samples.shape[1] - own[:, ::-1].argmax(axis=1), 0)


def _most(sequences: Sequences, tokens: int) -> Sequences:
    """The first sequences, of so many tokens together: one at least."""
    count = int(np.searchsorted(np.cumsum(sequences.lengths), tokens, side="right"))
    return sequences.take(np.arange(min(max(count, 1), len(sequences))))
