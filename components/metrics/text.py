"""Text as sequences of integer tokens: how varied samples are, how near to real text, and what they copy.

Every number changes with the number of samples and their length: compare at equal ones. What real text
shows is found by giving training sequences as samples.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import SHARDS, Estimate, jackknife
from components.metrics.ngrams import Sequences, against_training, gram_distances, grams

DISTINCT = (1, 2, 3, 4)
REPEATED = (4, 8, 16)
REFERENCES, HYPOTHESES = 200, 1000  # of Self-BLEU, at most
SMOOTHING = 0.1  # matches of an order that has none: "method 1" of Chen & Cherry 2014, with NLTK's epsilon
KOLMOGOROV = 1.358  # sup of the absolute Brownian bridge: its 95 % quantile

ABOUT = {
    "distinct_1": ("higher", "different tokens by tokens in all samples together"),
    "distinct_2": ("higher", "different pairs of tokens by pairs in all samples together"),
    "distinct_3": ("higher", "different runs of 3 tokens by runs in all samples together"),
    "distinct_4": ("higher", "different runs of 4 tokens by runs in all samples together"),
    "repetition_4": ("lower", "share of a sample's runs of 4 tokens that it had before, on average"),
    "repetition_8": ("lower", "share of a sample's runs of 8 tokens that it had before, on average"),
    "repetition_16": ("lower", "share of a sample's runs of 16 tokens that it had before, on average"),
    "self_bleu": ("lower", "BLEU-4 of samples against up to 200 others: 1 where all are alike"),
    "unigram_tv": ("lower", "total variation between the tokens of samples and of held-out text"),
    "unigram_js": ("lower", "Jensen–Shannon divergence between tokens, samples and held-out, in bits"),
    "bigram_tv": ("lower", "total variation between the pairs of tokens of samples and of held-out text"),
    "bigram_js": (
        "lower",
        "Jensen–Shannon divergence between pairs of tokens, samples and held-out, in bits",
    ),
    "length_ks": ("lower", "Kolmogorov–Smirnov distance between the lengths of samples and of held-out text"),
    "vocabulary_coverage": ("higher", "share of the different tokens of held-out text that samples use"),
    "training_overlap_4": ("lower", "share of the samples' runs of 4 tokens that occur in training"),
    "training_overlap_8": ("lower", "share of the samples' runs of 8 tokens that occur in training"),
    "training_overlap_16": ("lower", "share of the samples' runs of 16 tokens that occur in training"),
    "longest_training_run": (
        "lower",
        "longest run of a sample that occurs in training, in tokens, on average",
    ),
    "copy_rate": ("lower", "share of samples that share a longer run with training than 99 % of held-out do"),
    "copy_excess": ("lower", "copy_rate less what the same rule calls a copy among held-out sequences"),
}


def text_metrics(
    samples: Sequences, real: Sequences, training: Sequences, *, seed: int = 0
) -> dict[str, Estimate]:
    """The metrics of ABOUT, by name.

    Args:
        samples: what a model wrote.
        real: held-out sequences (validation or test), cut as the samples are.
        training: what it has learnt from.
        seed: of the draw of Self-BLEU.

    Raises:
        DataError: one of the three is empty.
    """
    found = against_training(samples, real, training)
    for n in DISTINCT:
        found[f"distinct_{n}"] = distinct(samples, n)
    for n in REPEATED:
        found[f"repetition_{n}"] = repetition(samples, n)
    found["self_bleu"] = self_bleu(samples, real, seed=seed)
    for n, name in ((1, "unigram"), (2, "bigram")):
        found[f"{name}_tv"], found[f"{name}_js"] = gram_distances(samples, real, n)
    found["length_ks"] = length_distance(samples, real)
    found["vocabulary_coverage"] = vocabulary_coverage(samples, real)
    return {name: found[name] for name in ABOUT}


def distinct(samples: Sequences, n: int) -> Estimate:
    """distinct-n (Li et al. 2016): different n-grams by n-grams, of all samples together.

    It falls with the number of tokens. So the interval is of the jackknife, and the value is not corrected
    by it: it belongs to these many samples.
    """
    keys, owner = grams(samples, n)
    if not len(keys):
        return _nothing(n)
    extra = {"n_grams": len(keys)}
    whole, lost = _lost(keys, owner)
    counts = np.bincount(owner % SHARDS, minlength=SHARDS)
    if len(samples) < 2 * SHARDS or (counts == len(keys)).any():
        return Estimate(whole / len(keys), why=f"{len(samples)} samples are too few", extra=extra)
    return _as_it_is(jackknife(whole / len(keys), (whole - lost) / (len(keys) - counts)), extra)


def repetition(samples: Sequences, n: int) -> Estimate:
    """The share of a sample's n-grams that it had before (seq-rep-n; Welleck et al. 2020), mean over samples
    of n tokens or more."""
    keys, owner = grams(samples, n)
    if not len(keys):
        return _nothing(n)
    counts = np.bincount(owner, minlength=len(samples))
    order = np.lexsort((keys, owner))
    keys, owner = keys[order], owner[order]
    again = (keys[1:] == keys[:-1]) & (owner[1:] == owner[:-1])
    repeated = np.bincount(owner[1:][again], minlength=len(samples))
    found = intervals.mean(repeated[counts > 0] / counts[counts > 0])
    return replace(found, extra={**found.extra, "too_short": int((counts == 0).sum())})


def vocabulary_coverage(samples: Sequences, real: Sequences) -> Estimate:
    """The share of the different tokens of `real` that the samples use; not corrected, see `distinct`.
    `extra` has the share of the tokens of `real` that these are."""
    types, counts = np.unique(real.tokens, return_counts=True)
    if not len(types):
        return Estimate(math.nan, why="the held-out sequences have no tokens")
    known = np.isin(samples.tokens, types)
    tokens, owner = samples.tokens[known], samples.owner[known]
    used, lost = _lost(tokens, owner)
    share_of_tokens = float(counts[np.isin(types, tokens)].sum() / counts.sum())
    extra = {"types": len(types), "share_of_tokens": share_of_tokens}
    if len(samples) < 2 * SHARDS:
        return Estimate(used / len(types), why=f"{len(samples)} samples are too few", extra=extra)
    return _as_it_is(jackknife(used / len(types), (used - lost) / len(types)), extra)


def length_distance(samples: Sequences, real: Sequences) -> Estimate:
    """The greatest difference between the distribution functions of the lengths (Kolmogorov–Smirnov). The
    bounds are Kolmogorov's, which hold for all distributions and are wide where lengths tie."""
    sizes = [len(samples), len(real)]
    longest = int(max(samples.lengths.max(initial=0), real.lengths.max(initial=0)))
    own, other = (
        np.cumsum(np.bincount(part.lengths, minlength=longest + 1)) / len(part) for part in (samples, real)
    )
    distance = float(np.abs(own - other).max())
    half = KOLMOGOROV * math.sqrt(sum(1 / size for size in sizes))
    return Estimate(distance, max(distance - half, 0.0), min(distance + half, 1.0), "Kolmogorov")


def _lost(keys: np.ndarray, owner: np.ndarray) -> tuple[int, np.ndarray]:
    """How many different keys there are, and how many of them only each shard has, int64 `[SHARDS]`."""
    if not len(keys):
        return 0, np.zeros(SHARDS, np.int64)
    shard = owner % SHARDS  # see intervals.shard_of
    order = np.lexsort((shard, keys))
    keys, shard = keys[order], shard[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    last = np.append(first[1:], len(keys)) - 1
    alone = shard[first] == shard[last]
    return len(first), np.bincount(shard[first][alone], minlength=SHARDS)


def _as_it_is(found: Estimate, extra: dict[str, Any]) -> Estimate:
    """A jackknife's interval about the value that it was given."""
    shift = found.plain - found.value
    extra = {**found.extra, **extra}
    return replace(found, value=found.plain, low=found.low + shift, high=found.high + shift, extra=extra)


def _nothing(n: int) -> Estimate:
    return Estimate(math.nan, why=f"no sample has {n} tokens")


# -- Self-BLEU -----------------------------------------------------------------------------------------


def self_bleu(samples: Sequences, real: Sequences | None = None, *, seed: int = 0) -> Estimate:
    """Self-BLEU-4 (Zhu et al. 2018): the mean BLEU of samples against others, 1 where all are alike.

    200 samples drawn by the seed are the references of up to 1,000 of the others: fewer of both where there
    are fewer than 400, the references at most half of all. BLEU is of sentences: the geometric mean of the
    precisions of 1 to 4 tokens, 0.1 in place of no match, with the brevity penalty. `extra` has both counts
    and, of `real` sequences by as many references where there are enough, the same number. The interval is
    over hypotheses; the references are taken as they are.
    """
    full = samples.take(np.flatnonzero(samples.lengths > 0))
    if len(full) < 2:
        return Estimate(math.nan, why=f"{len(full)} samples with tokens are fewer than two")
    references = min(REFERENCES, len(full) // 2)
    found = intervals.mean(_drawn_bleu(full, references, seed))
    extra = {
        "references": references,
        "hypotheses": min(HYPOTHESES, len(full) - references),
        "smoothing": SMOOTHING,
        "seed": seed,
    }
    if real is not None:
        others = real.take(np.flatnonzero(real.lengths > 0))
        if len(others) > references:
            extra["real"] = float(_drawn_bleu(others, references, seed).mean())
    return replace(found, extra={**found.extra, **extra})


def _drawn_bleu(sequences: Sequences, references: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).permutation(len(sequences))
    hypotheses = sequences.take(rows[references : references + HYPOTHESES])
    return bleu(hypotheses, sequences.take(rows[:references]))


def bleu(hypotheses: Sequences, references: Sequences) -> np.ndarray:
    """BLEU-4 `[n]` (Papineni et al. 2002) of each hypothesis against all references, smoothed as Self-BLEU.

    Raises:
        DataError: no references.
    """
    if not len(references):
        raise DataError("BLEU needs at least one reference")
    logarithms = np.zeros(len(hypotheses))
    for n in range(1, 5):
        matches, total = _clipped(hypotheses, references, n)
        if n == 1:
            nothing = matches == 0
        logarithms += np.log(np.where(matches > 0, matches, SMOOTHING) / np.maximum(total, 1)) / 4
    sizes = np.unique(references.lengths)
    distance = np.abs(hypotheses.lengths[:, None] - sizes)
    closest = sizes[distance.argmin(axis=1)]  # of equally close ones the shorter
    penalty = np.minimum(0, 1 - closest / np.maximum(hypotheses.lengths, 1))
    return np.where(nothing, 0.0, np.exp(logarithms + penalty))


def _clipped(hypotheses: Sequences, references: Sequences, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Matches of n-grams `[n]`, each counted no more often than in the reference that has most, and n-grams."""
    known, _, count = _counts(*grams(references, n))
    keys, owner, own = _counts(*grams(hypotheses, n))
    total = np.bincount(owner, own, len(hypotheses))
    if not len(known):
        return np.zeros(len(hypotheses)), total
    first = np.flatnonzero(np.concatenate([[True], known[1:] != known[:-1]]))
    most = np.maximum.reduceat(count, first)
    known = known[first]
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    allowed = np.where(known[place] == keys, most[place], 0)
    return np.bincount(owner, np.minimum(own, allowed), len(hypotheses)), total


def _counts(keys: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each key of each owner once, by key, and how often it has it."""
    order = np.lexsort((owner, keys))
    keys, owner = keys[order], owner[order]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] != keys[:-1]) | (owner[1:] != owner[:-1])
    first = np.flatnonzero(fresh)
    return keys[first], owner[first], np.diff(np.append(first, len(keys)))
