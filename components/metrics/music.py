"""Music as scores: what each piece is like, how near samples are to real pieces in that, and what they copy.

Time is in quarter notes, on both sides: never in bars of a stated metre, which samples do not have.
Percussion is left out. Features follow MusPy (Dong et al. 2020) where it has them; where this differs from
it, FEATURES says so. A piece without notes has none: NaN, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from components.errors import DataError
from components.metrics import intervals
from components.metrics.intervals import SHARDS, Estimate, jackknife
from components.metrics.ngrams import Sequences, against_training
from components.metrics.overlap import density_distances, histogram_distance
from components.scores import MAJORS, MINORS, Score, estimated_key

GRID = 12  # steps in a quarter, for onsets and durations
BAR = 4 * GRID  # steps after which a groove comes again
LONGEST = 8 * GRID  # longer notes and waits count as this long in histograms
DIATONIC = np.array(
    [[(step - tonic) % 12 in (0, 2, 4, 5, 7, 9, 11) for step in range(12)] for tonic in range(12)]
)

FEATURES = {
    "pitches_used": "how many different pitches a piece has",
    "pitch_range": "semitones from its lowest pitch to its highest",
    "pitch_class_entropy": "entropy of the pitch classes of its notes, in bits",
    "in_key_ratio": "share of its notes in the major or natural minor key that has most (of 24)",
    "polyphony": "pitches that sound at once, on average over the time in which any does",
    "polyphony_rate": "share of its time in which three pitches or more sound",
    "groove_consistency": "1 - mean share of 48 places in which onsets of a bar of four quarters and of the next differ",
    "empty_beat_rate": "share of its quarters in which nothing sounds",
    "note_density": "notes that begin in a quarter, on average",
    "inter_onset": "quarters from one onset to the next, on average",
    "note_length": "quarters that a note lasts, on average",
}
HISTOGRAMS = {
    "pitch_class": "pitch classes",
    "note_length": "lengths of notes, in twelfths of a quarter up to eight quarters",
    "inter_onset": "times from one onset to the next, in twelfths of a quarter up to eight quarters",
    "pitch_class_transition": "steps from one pitch class to the next, from the tonic of the estimated key",
}

ABOUT = {
    "feature_overlap": ("higher", "mean of the overlapping areas of all features, samples and real pieces"),
    **{
        f"{name}_overlap": ("higher", f"overlapping area between samples and real pieces: {what}")
        for name, what in FEATURES.items()
    },
    **{
        f"{name}_kl": ("lower", f"KL (skewed, nats) of samples from real pieces: {what}")
        for name, what in FEATURES.items()
    },
    **{
        f"{name}_js": ("lower", f"Jensen–Shannon divergence between samples and real, in bits: {what}")
        for name, what in HISTOGRAMS.items()
    },
    "empty_share": ("lower", "share of samples without a single note that has a pitch"),
    "training_overlap_4": (
        "lower",
        "share of the samples' runs of 4 notes that occur in training, in any key",
    ),
    "training_overlap_8": (
        "lower",
        "share of the samples' runs of 8 notes that occur in training, in any key",
    ),
    "training_overlap_16": (
        "lower",
        "share of the samples' runs of 16 notes that occur in training, in any key",
    ),
    "longest_training_run": ("lower", "longest run of notes that occurs in training, in any key, on average"),
    "copy_rate": ("lower", "share of samples that share a longer run with training than 99 % of held-out do"),
    "copy_excess": ("lower", "copy_rate less what the same rule calls a copy among held-out pieces"),
}


def music_metrics(
    samples: Sequence[Score], real: Sequence[Score], training: Sequence[Score]
) -> dict[str, Estimate]:
    """The metrics of ABOUT, by name.

    Args:
        samples: what a model composed.
        real: held-out pieces. Many features grow with the length of a piece: cut them as samples are, that
            is, decode the examples of the split. Windows of one piece are alike, so that intervals over many
            windows of few pieces are too narrow.
        training: what it has learnt from: whole pieces where there are any, as windows hide copies that
            cross their ends.

    Raises:
        DataError: one of the three is empty.
    """
    if not (len(samples) and len(real) and len(training)):
        counts = f"{len(samples)} samples, {len(real)} real and {len(training)} training pieces"
        raise DataError(f"metrics of music need all three, and there are {counts}")
    found = against_training(events(samples), events(real), events(training))
    own, other = features(samples), features(real)
    for name in FEATURES:
        divergence, area = density_distances(own[name], other[name])
        found[f"{name}_kl"], found[f"{name}_overlap"] = divergence, area
    found["feature_overlap"] = _mean_overlap({name: found[f"{name}_overlap"] for name in FEATURES}, other)
    own, other = histograms(samples), histograms(real)
    for name in HISTOGRAMS:
        found[f"{name}_js"] = histogram_distance(own[name], other[name])
    found["empty_share"] = intervals.share(own["pitch_class"].sum(axis=1) == 0)
    return {name: found[name] for name in ABOUT}


def _mean_overlap(areas: dict[str, Estimate], real: dict[str, np.ndarray]) -> Estimate:
    """Over the features that real pieces have; one that no sample has counts as 0."""
    names = [name for name in areas if np.isfinite(real[name]).any()]
    if not names:
        return Estimate(math.nan, why="the real pieces hold no notes")
    absent = (0.0,) * SHARDS
    plain, without = [], []
    for area in (areas[name] for name in names):
        nothing = math.isnan(area.value)
        plain.append(0.0 if nothing else area.plain)
        without.append(absent if nothing else area.without)
    extra = {"features": names}
    if not all(without):
        why = next(areas[name].why for name, parts in zip(names, without, strict=True) if not parts)
        return Estimate(float(np.mean(plain)), why=why, extra=extra)
    mean = jackknife(float(np.mean(plain)), np.mean(without, axis=0))
    chance = sum(areas[name].extra.get("by_chance", 0.0) for name in names) / len(names)
    half = mean.high - mean.value
    return replace(
        mean,
        value=min(mean.value, 1.0),
        low=max(mean.plain - half, 0.0),
        high=min(mean.plain + chance + half, 1.0),
        method=f"{mean.method}, bounds of a norm",  # see overlap.variation
        extra={**mean.extra, **extra, "by_chance": chance},
    )


# -- pieces --------------------------------------------------------------------------------------------


def features(scores: Sequence[Score]) -> dict[str, np.ndarray]:
    """Each of FEATURES, float64 `[n]`: NaN where a piece has no notes, or too few for it."""
    rows = [_features(score) for score in scores]
    return {name: np.array([row.get(name, math.nan) for row in rows], np.float64) for name in FEATURES}


def _features(score: Score) -> dict[str, float]:
    notes, quarter = score.notes[~score.drums], score.ticks_per_quarter
    if not len(notes):
        return {}
    starts = notes["onset"].astype(np.int64)
    pitches, stops = notes["pitch"].astype(np.int64), starts + notes["duration"]
    length = max(score.length, int(stops.max()))
    counts = np.bincount(pitches % 12, minlength=12)
    shares = counts[counts > 0] / len(notes)
    onsets = np.unique(starts)
    found = {
        "pitches_used": len(np.unique(pitches)),
        "pitch_range": int(pitches.max() - pitches.min()),
        "pitch_class_entropy": max(float(-(shares * np.log2(shares)).sum()), 0.0),
        "in_key_ratio": float((DIATONIC @ counts).max() / len(notes)),
        "groove_consistency": _groove_consistency(_steps(onsets, quarter)),
        "note_density": len(notes) * quarter / length,
        "note_length": float(notes["duration"].mean()) / quarter,
        **_sounding(starts, stops, pitches, quarter, length),
    }
    if len(onsets) > 1:
        found["inter_onset"] = float(np.diff(onsets).mean()) / quarter
    return found


def _steps(ticks: np.ndarray, quarter: int) -> np.ndarray:
    """The nearest steps of GRID, halves upwards."""
    return (2 * ticks.astype(np.int64) * GRID + quarter) // (2 * quarter)


def _groove_consistency(onsets: np.ndarray) -> float:
    """1 - mean Hamming distance of the onsets of successive bars, as a share of the places in a bar (MusPy's,
    whose places are ticks); NaN for one bar. A place in one of two bars only is a difference."""
    onsets = np.unique(onsets)
    bars = int(onsets[-1]) // BAR + 1
    if bars < 2:
        return math.nan
    first, last = int((onsets < BAR).sum()), int((onsets >= (bars - 1) * BAR).sum())
    again = int(np.isin(onsets + BAR, onsets).sum())
    return 1 - (2 * len(onsets) - first - last - 2 * again) / (BAR * (bars - 1))


def _sounding(
    starts: np.ndarray, stops: np.ndarray, pitches: np.ndarray, quarter: int, length: int
) -> dict[str, float]:
    """What depends on which pitches sound together; a pitch that two notes hold sounds once."""
    far = length + 1  # pitches laid one after another
    begin, end = _united(starts + pitches * far, stops + pitches * far)
    begin, end = begin % far, end % far
    moments = np.concatenate([begin, end])
    order = np.argsort(moments, kind="stable")
    active = np.cumsum(np.repeat([1, -1], len(begin))[order])[:-1]
    lasting = np.diff(moments[order])
    together = int((end - begin).sum())
    begin, end = _united(begin, end)
    first, last = begin // quarter, -(-end // quarter)  # beats
    first[1:] = np.maximum(first[1:], last[:-1])
    beats = -(-length // quarter)
    return {
        "polyphony": together / int((end - begin).sum()),
        "polyphony_rate": int(lasting[active > 2].sum()) / length,
        "empty_beat_rate": 1 - int((last - first).sum()) / beats,
    }


def _united(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The union of intervals, as intervals in order that do not touch."""
    order = np.argsort(starts, kind="stable")
    starts, reached = starts[order], np.maximum.accumulate(stops[order])
    apart = np.flatnonzero(starts[1:] > reached[:-1])
    return starts[np.append(0, apart + 1)], reached[np.append(apart, len(starts) - 1)]


def histograms(scores: Sequence[Score]) -> dict[str, np.ndarray]:
    """Each of HISTOGRAMS as counts `[n, cells]`, all 0 where a piece has nothing to count."""
    rows = [_histograms(score) for score in scores]
    sizes = {"pitch_class": 12, "pitch_class_transition": 144}
    return {
        name: np.array([row[name] for row in rows]).reshape(len(rows), sizes.get(name, LONGEST + 1))
        for name in HISTOGRAMS
    }


def _histograms(score: Score) -> dict[str, np.ndarray]:
    notes, quarter = _in_order(score), score.ticks_per_quarter
    classes = notes["pitch"].astype(np.int64) % 12
    tonic = (classes - _tonic(score)) % 12
    lengths, waits = notes["duration"], np.diff(np.unique(notes["onset"]))
    return {
        "pitch_class": np.bincount(classes, minlength=12),
        "note_length": np.bincount(np.minimum(_steps(lengths, quarter), LONGEST), minlength=LONGEST + 1),
        "inter_onset": np.bincount(np.minimum(_steps(waits, quarter), LONGEST), minlength=LONGEST + 1),
        "pitch_class_transition": np.bincount(12 * tonic[:-1] + tonic[1:], minlength=144),
    }


def _tonic(score: Score) -> int:
    key = estimated_key(score)
    if key is None:
        return 0
    name, mode = key.split()
    return (MINORS if mode == "minor" else MAJORS).index(name)


def _in_order(score: Score) -> np.ndarray:
    """The notes that are not percussion, by onset and then pitch."""
    notes = score.notes[~score.drums]
    return notes[np.lexsort((notes["pitch"], notes["onset"]))]


def events(scores: Sequence[Score]) -> Sequences:
    """Each piece as a sequence: for each note but the first one number, of the interval from the note before
    and of its own length in steps. So a piece moved to another key is the same sequence."""
    found = []
    for score in scores:
        notes = _in_order(score)
        interval = np.diff(notes["pitch"].astype(np.int64)) + 128
        found.append(interval + 256 * _steps(notes["duration"][1:], score.ticks_per_quarter))
    return Sequences.of(found)
