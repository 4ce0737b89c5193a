"""Music: a record is a piece with all its notes; an example is a window of it in one of five forms.

* `events`: tokens, note by note, with durations, loudness and percussion (components.music_events).
* `roll`: what sounds at each step of a grid, 0 and 1 for each pitch (components.music_grids).
* `steps`: the same as tokens: every set of pitches of the training split is a symbol, and one that it
  lacks is the symbol 0, which decodes as the chord before.
* `voices`: soprano, alto, tenor, bass in turn, step by step, each a pitch, a hold or a rest.
* `bars`: a token a bar, of a table of bars that stand for all (components.music_bars).

Sources: components.music_sources. How MIDI is read, what is refused: components.midi. The sustain pedal and
changes of tempo are not encoded; samples are played at the median tempo of the training split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from components import music_bars as bars
from components import music_grids as grids
from components.errors import ConfigError, DataError
from components.modalities import Summary
from components.music_events import Events
from components.music_features import anomalies, summarise
from components.music_likeness import alike, signatures
from components.music_samples import decode, write_samples
from components.music_sources import SOURCES, Read, files, plan, preflight, read
from components.music_windows import encode, shape_of, transposed
from components.scores import CONTENT, RECORD, scores_of
from components.settings import Settings
from keras_models.spec import Spec

__all__ = [
    "CONTENT",
    "RECORD",
    "SOURCES",
    "Read",
    "alike",
    "anomalies",
    "decode",
    "encode",
    "files",
    "plan",
    "preflight",
]
__all__ += ["read", "signatures", "summarise", "write_samples"]

KIND = "tokens"
TEMPO, VELOCITY = 90.0, 80  # of samples, where the training split says nothing
MOST_CHORDS = 1_000_000  # counted at a time


class Encode(Settings):
    """How records become examples."""

    form: Literal["events", "roll", "steps", "voices", "bars"] = Field(
        "events",
        description="events: notes as tokens; roll: the pitches that sound, step by step; steps: each chord a "
        "token; voices: soprano to bass in turn, four tokens a step; bars: each bar a token, in C",
    )
    grid: Literal[1, 2, 3, 4, 6, 8, 12, 24] = Field(
        4, description="time steps in a quarter note; notes move to the nearest one"
    )
    length: int = Field(
        128, ge=2, le=65_536, description="of one example: events in tokens, bars in bars, others in steps"
    )
    stride: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="from one example of a piece to the next, a sixteenth of length at least; by default length",
    )
    low: int = Field(21, ge=0, le=127, description="lowest pitch (events, roll, voices)")
    high: int = Field(108, ge=0, le=127, description="highest pitch (events, roll, voices)")
    outside: Literal["refuse", "octave"] = Field(
        "refuse", description="pitches below low or above high: stop, or move them by octaves"
    )
    velocities: int = Field(8, ge=0, le=32, description="events: bins of loudness, 0: it is left out")
    longest: int = Field(
        32,
        ge=1,
        le=1024,
        description="events: steps that one duration or shift token says; more take several",
    )
    drums: bool = Field(False, description="events: percussion (channel 10) too; else it is left out")
    chords: int = Field(
        8192, ge=1, le=65_536, description="steps: most symbols; rarer chords are the unknown one"
    )

    bar: int = Field(4, ge=1, le=16, description="bars: quarter notes in one")
    bars: int = Field(
        176, ge=2, le=65_536, description="bars: most symbols; any other bar is the most similar one"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.high < self.low + 11:
            raise ValueError("from low to high there is an octave at least")
        if self.stride is not None and not self.length <= 16 * self.stride <= 16 * self.length:
            raise ValueError("stride is at most length and at least a sixteenth of it")
        if self.drums and self.form != "events":
            raise ValueError("drums have a place in form events only")
        return self


class Augment(Settings):
    """Changes drawn afresh for each training example."""

    transpose: int = Field(
        0,
        ge=0,
        le=12,
        description="move all pitches by at most so many semitones up or down, as far as the lowest and the "
        "highest stay in range (events, roll, voices)",
    )


def kind_of(encode: Encode) -> str:
    """The spec kind that these options give."""
    return "roll" if encode.form == "roll" else KIND


# -- records → examples --------------------------------------------------------------------------------


def examples(summary: Summary, encode: Encode) -> int:
    """The least number of windows of a split: every piece has one, and they cover it."""
    if encode.form == "events":  # a note is two tokens at least, without percussion
        size = 2 * summary.features["pitch"].count + summary.records
    else:
        quarters = summary.features["quarters"]
        per_quarter = encode.grid if encode.form != "bars" else 1 / encode.bar
        size = int(quarters.mean * quarters.count * per_quarter) - summary.records
    stride = encode.stride or encode.length
    return max(summary.records, (size - (encode.length - stride) * summary.records) // stride)


def fit(
    summaries: dict[str, Summary], encode: Encode, tables: Callable[[], Iterable[pa.Table]]
) -> dict[str, Any]:
    """The encoding: the options, and from the training split velocity, tempo and, of `steps` and `bars`, what
    the symbols are.

    Raises:
        DataError: pitches out of range, or pieces that are not four voices where `form` needs them.
    """
    _check(summaries, encode)
    train = summaries["train"].features
    velocity, tempo = train["velocity"], train["tempo"]
    found = encode.model_dump(exclude={"chords", "bars"}) | {
        "modality": "music",
        "stride": encode.stride or encode.length,
        "velocities": encode.velocities if velocity.min < velocity.max else 0,
        "velocity": int(velocity.quantile(0.5)) if velocity.count else VELOCITY,
        "tempo": float(tempo.quantile(0.5)) if tempo.count else TEMPO,
    }
    if encode.form == "steps":
        found["chords"] = _commonest_chords(tables(), encode)
    if encode.form == "bars":
        scores = (score for table in tables() for score in scores_of(table))
        found["bars"] = bars.table_of(scores, encode.grid, encode.bar, encode.bars)
    return found


def _check(summaries: dict[str, Summary], encode: Encode) -> None:
    """Refuses what could not be encoded before any of it is."""
    for split, summary in summaries.items():
        pitch, layout = summary.features.get("pitch"), summary.features.get("layout")
        if pitch is None or not pitch.count:
            continue
        ranged = encode.form not in ("steps", "bars") and encode.outside == "refuse"
        if ranged and (pitch.min < encode.low or pitch.max > encode.high):
            raise DataError(
                f"the {split} split has pitches from {pitch.min:.0f} to {pitch.max:.0f}, and data.encode allows "
                f"{encode.low} to {encode.high}: set low and high, or outside: octave"
            )
        if encode.form == "voices" and layout is not None and set(layout.counts) != {"voices"}:
            raise DataError(
                f"data.encode.form 'voices' needs pieces of four voices, and those of the {split} split are "
                f"{' and '.join(sorted(layout.counts))}: use a chorale file with four pitches a step, or form: steps"
            )


def _commonest_chords(tables: Iterable[pa.Table], encode: Encode) -> list[list[int]]:
    """The chords of the training split by how often they sound, of equals the lower first."""
    counts: Counter[tuple[int, ...]] = Counter()
    for table in tables:
        for score in scores_of(table):
            counts.update(grids.chords_of(grids.roll_of(score, encode.grid)))
            if len(counts) > 2 * MOST_CHORDS:
                counts = Counter(dict(_by_count(counts)[:MOST_CHORDS]))
    return [list(chord) for chord, _ in _by_count(counts)[: encode.chords]]


def _by_count(counts: Counter[tuple[int, ...]]) -> list[tuple[tuple[int, ...], int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def spec(encoding: dict[str, Any]) -> Spec:
    """See Spec: kind `roll` for rolls, `tokens` for the other forms."""
    if encoding["form"] == "roll":
        return Spec(kind="roll", shape=shape_of(encoding))
    return Spec(kind="tokens", shape=shape_of(encoding), vocabulary=len(vocabulary(encoding)))


def vocabulary(encoding: dict[str, Any]) -> list[str]:
    """What each token is called; of a roll, each column."""
    pitches = [f"pitch {pitch}" for pitch in range(encoding["low"], encoding["high"] + 1)]
    if encoding["form"] == "events":
        return Events.of(encoding).names()
    if encoding["form"] == "steps":
        return ["unknown", *(" ".join(map(str, chord)) or "silence" for chord in encoding["chords"])]
    if encoding["form"] == "bars":
        return ["silence", *(f"bar {number}" for number in range(1, len(encoding["bars"]) + 1))]
    return pitches if encoding["form"] == "roll" else ["rest", "hold", *pitches]


# -- examples → a model --------------------------------------------------------------------------------


def batch(
    arrays: dict[str, np.ndarray], encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Tokens as they are; rolls as float32 of 0 and 1."""
    if encoding["form"] == "roll":
        return {**arrays, "x": arrays["x"].astype(np.float32)}
    return dict(arrays)


def augment(
    batch: dict[str, np.ndarray], options: Augment, encoding: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Each example moved up or down.

    Raises:
        ConfigError: chords cannot be moved, because most chords beside them have no symbol, nor can bars.
    """
    if not options.transpose:
        return batch
    if encoding["form"] == "bars":
        raise ConfigError("data.augment.transpose: form 'bars' has all pieces in C: set it to 0")
    if encoding["form"] == "steps":
        raise ConfigError(
            "data.augment.transpose: form 'steps' has no symbol for most moved chords: set it to 0 or take "
            "another data.encode.form"
        )
    return {**batch, "x": transposed(batch["x"], options.transpose, encoding, rng)}
