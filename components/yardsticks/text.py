"""How text is judged: by the tokens that samples use, how they repeat, and what they copy from training."""

from __future__ import annotations

import math

import numpy as np

from components.errors import DataError
from components.metrics.intervals import Estimate
from components.metrics.ngrams import Sequences
from components.metrics.text import text_metrics
from components.metrics.two_sample import classifier_two_sample
from components.text_units import Bytes, Characters, PairEncoding, Unit, Words, unit_of
from components.yardsticks import Base, Judged
from components.yardsticks.protocols import measured_on

TRAINING_TOKENS = 2_000_000  # most that copies are looked for among
SYMBOLS, PAIRED = 40, 8  # commonest symbols, of which pairs: what a classifier tells texts apart by
HELD_OUT_TOKENS = 500_000  # most that samples are compared with
UNSPELT = 0.001  # share of tokens unknown to a model from which it does not spell the text


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
        unit = self.encoding.get("unit", "characters")
        judged = Judged(measured_on(found, unit=unit, real=len(real), training=len(known)))
        unknown = self._unknown(held)
        if unknown > UNSPELT:
            judged.notes["bits_per_byte"] = (
                f"{unknown:.1%} of the held-out tokens are unknown to the vocabulary: a model of it does not spell "
                "the text"
            )
        return judged

    def sizes(self, split: str) -> np.ndarray | None:
        """See components.yardsticks. Bytes are those that each token stands for, so that they add up to the
        text wherever a window cuts it; None where more than UNSPELT of the tokens are unknown words."""
        unit = unit_of(self.encoding)
        tokens = self._sequences(split)
        if self._unknown(tokens) > UNSPELT:
            return None
        space = len(unit.space.encode()) if isinstance(unit, Words) else 0
        own = symbol_bytes(unit)[tokens.tokens] + space
        return np.bincount(tokens.owner, own, len(tokens)).astype(np.int64) - space * (tokens.lengths > 0)

    def _unknown(self, tokens: Sequences) -> float:
        """The share of tokens that stand for what the training split lacks."""
        unit = unit_of(self.encoding)
        if not isinstance(unit, Words | Characters) or not len(tokens.tokens):
            return 0.0
        if isinstance(unit, Words):
            return float((~unit.spelt(tokens.tokens)).mean())
        return float((tokens.tokens == 0).mean())

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


def symbol_bytes(unit: Unit) -> np.ndarray:
    """Bytes of UTF-8 that each symbol stands for, int64 `[unit.size]`: 0 for padding."""
    if isinstance(unit, Bytes):
        found = np.ones(unit.size, np.int64)
    elif isinstance(unit, PairEncoding):  # whose tokens are written with one character a byte
        names = (unit.tokenizer.id_to_token(number) for number in range(unit.size - 1))
        found = np.array([0, *(len(name) for name in names)], np.int64)
    else:
        assert isinstance(unit, Characters | Words)
        found = np.array(
            [len(symbol.encode("utf-8", "surrogatepass")) for symbol in unit.vocabulary], np.int64
        )
    if not isinstance(unit, Characters):  # there the padding is the unknown character too, which is one
        found[unit.padding] = 0
    return found


def lengths(samples: np.ndarray, padding: int) -> np.ndarray:
    """Tokens of each sample `[n]`: what follows the last one that is no padding does not count."""
    own = samples != padding
    return np.where(own.any(axis=1), samples.shape[1] - own[:, ::-1].argmax(axis=1), 0)


def _most(sequences: Sequences, tokens: int) -> Sequences:
    """The first sequences, of so many tokens together: one at least."""
    count = int(np.searchsorted(np.cumsum(sequences.lengths), tokens, side="right"))
    return sequences.take(np.arange(min(max(count, 1), len(sequences))))
