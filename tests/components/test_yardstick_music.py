"""The yardstick of music: held-out pieces are good, copies in any key and collapse are found, padding is no
silence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.examples import Examples
from components.metrics.music import ABOUT
from components.modalities import music
from components.settings import EvaluateSettings
from components.yardsticks.music import Yardstick
from tests.components.tiny_examples import examples_of, splits_of

FORMS = ("events", "roll", "steps", "voices")
STEPS = 32  # of a window; of events, tokens
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])


def piece(random: np.random.Generator) -> list[list[int]]:
    """40 to 70 steps of chords in one major key, soprano to bass, each of one to four steps."""
    tonic, degree, steps = int(random.integers(-3, 4)), 0, []
    length = int(random.integers(40, 71))
    while len(steps) < length:
        degree = (degree + int(random.choice([0, 2, 3, 4, 5]))) % 7
        third = [
            60 + tonic + SCALE[(degree + place) % 7] + 12 * ((degree + place) // 7) for place in (0, 2, 4)
        ]
        top = 12 + third[int(random.integers(3))]
        chord = [int(top), int(third[2]), int(third[1]), int(third[0]) - 12]
        steps += [chord] * int(random.choice([1, 2, 2, 4]))
    return steps[:length]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 60 pieces to learn from, and 50 in each other split."""
    folder, random = tmp_path_factory.mktemp("music"), np.random.default_rng(0)
    parts = {"train": 60, "valid": 50, "test": 50}
    written = {part: [piece(random) for _ in range(count)] for part, count in parts.items()}
    (folder / "pieces-16th.json").write_text(json.dumps(written), "utf-8")
    return folder


@pytest.fixture(scope="module")
def made(root: Path) -> dict[str, Examples]:
    """The same records as examples of every form."""
    source = f"chorales:{root / 'pieces-16th.json'}"
    lengths = {form: 96 if form == "events" else STEPS for form in FORMS}
    return {
        form: examples_of(source, root, form, encode={"form": form, "length": lengths[form]})
        for form in FORMS
    }


@pytest.fixture(scope="module")
def yardsticks(made: dict[str, Examples]) -> dict[str, Yardstick]:
    return {form: Yardstick(one, splits_of(one), EvaluateSettings()) for form, one in made.items()}


@pytest.fixture(scope="module")
def yardstick(yardsticks: dict[str, Yardstick]) -> Yardstick:
    return yardsticks["roll"]


def unseen(yardstick: Yardstick) -> np.ndarray:
    """Real pieces: the test split, where samples are judged on the validation split."""
    return yardstick.data["test"]["x"]


def whole(yardstick: Yardstick, split: str) -> np.ndarray:
    """The windows that are full."""
    data = yardstick.data[split]
    return data["x"][data["length"] == data["x"].shape[1]]


def numbers(yardstick: Yardstick, samples: np.ndarray) -> dict[str, float]:
    return {name: one.value for name, one in yardstick.judge(samples, "validation").metrics.items()}


# -- what samples are worth ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_all_metrics_of_music_are_measured_in_every_form(yardsticks: dict[str, Yardstick], form: str) -> None:
    yardstick = yardsticks[form]
    found = yardstick.judge(unseen(yardstick), "validation")
    assert set(found.metrics) == {*ABOUT, "classifier_accuracy"}
    assert yardstick.main in found.metrics
    assert found.notes == {}
    for name, one in found.metrics.items():
        assert math.isfinite(one.value), (name, one.why)
        assert one.extra["form"] == form
        assert one.extra["real"] == len(yardstick.data["validation"]["x"])
        assert one.extra["training"] == len(yardstick.data["train"]["x"])


@pytest.mark.parametrize("form", FORMS)
def test_held_out_pieces_are_good(yardsticks: dict[str, Yardstick], form: str) -> None:
    found = yardsticks[form].judge(unseen(yardsticks[form]), "validation").metrics
    assert found["feature_overlap"].high > 0.9
    assert found["pitch_class_js"].value < 0.05
    assert found["classifier_accuracy"].low < 0.55
    assert found["copy_excess"].low < 0.02
    assert found["empty_share"].value == 0


@pytest.mark.parametrize("form", FORMS)
def test_training_windows_are_copies(yardsticks: dict[str, Yardstick], form: str) -> None:
    """All but those that are cut to a few notes, as a few held-out windows are: these prove nothing."""
    found = numbers(yardsticks[form], whole(yardsticks[form], "train")[:40])
    assert found["copy_rate"] >= 0.85
    assert found["copy_excess"] > 0.75
    assert found["training_overlap_8"] > 0.95  # the last notes are cut short


def test_a_copy_in_another_key_is_a_copy(yardstick: Yardstick) -> None:
    known = whole(yardstick, "train")[:40]
    assert not known[..., -1].any()
    higher = np.roll(known, 1, axis=2)
    assert not any((higher == one).all(axis=(1, 2)).any() for one in known)
    assert numbers(yardstick, higher)["copy_rate"] == numbers(yardstick, known)["copy_rate"] > 0.85


def test_one_piece_again_and_again_is_found(yardstick: Yardstick) -> None:
    good = whole(yardstick, "test")
    found, real = numbers(yardstick, np.repeat(good[:1], len(good), axis=0)), numbers(yardstick, good)
    assert found["feature_overlap"] < real["feature_overlap"] - 0.1
    assert found["pitch_class_js"] > 3 * real["pitch_class_js"] + 0.02


def test_steps_in_any_order_have_another_rhythm(yardstick: Yardstick) -> None:
    """The same pitches sound as long as before: only time is wrong."""
    good = whole(yardstick, "test")
    order = np.random.default_rng(0).permuted(np.tile(np.arange(STEPS), (len(good), 1)), axis=1)
    found, real = (numbers(yardstick, x) for x in (np.take_along_axis(good, order[..., None], axis=1), good))
    assert found["polyphony_overlap"] == pytest.approx(real["polyphony_overlap"], abs=1e-9)
    assert found["note_length_js"] > 3 * real["note_length_js"] + 0.01
    assert found["note_density_overlap"] < real["note_density_overlap"] - 0.2
    assert found["classifier_accuracy"] > 0.8


def test_any_pitches_are_in_no_key(yardstick: Yardstick) -> None:
    random = np.random.default_rng(0)
    noise = (random.random(unseen(yardstick).shape) < 0.05).astype(np.float32)
    found, real = numbers(yardstick, noise), numbers(yardstick, unseen(yardstick))
    assert found["in_key_ratio_overlap"] < 0.2 < real["in_key_ratio_overlap"]
    assert found["feature_overlap"] < 0.4
    assert found["classifier_accuracy"] > 0.95


def test_silence_is_told(yardstick: Yardstick) -> None:
    found = yardstick.judge(np.zeros_like(unseen(yardstick)), "validation").metrics
    assert found["empty_share"].value == 1
    assert found["feature_overlap"].value == 0


def test_few_samples_are_a_reason_and_no_number(yardstick: Yardstick) -> None:
    found = yardstick.judge(unseen(yardstick)[:6], "validation").metrics
    assert math.isnan(found["classifier_accuracy"].value)
    assert found["classifier_accuracy"].why


def test_training_pieces_in_place_of_samples_are_no_copies(yardstick: Yardstick) -> None:
    found = yardstick.reference("validation", 100).metrics
    assert not {"copy_rate", "copy_excess", "training_overlap_8", "longest_training_run"} & set(found)
    assert found["feature_overlap"].high > 0.9


# -- padding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["roll", "steps", "voices"])
def test_padding_is_no_silence(yardsticks: dict[str, Yardstick], form: str) -> None:
    """Real pieces have no step in which nothing sounds, and many end inside of their window."""
    yardstick = yardsticks[form]
    held = yardstick.data["validation"]
    assert (held["length"] < held["x"].shape[1]).any()
    for split in ("train", "validation", "test"):
        for score, length in zip(
            yardstick._scores(split, 1000), yardstick.data[split]["length"], strict=True
        ):
            ends = int((score.notes["onset"] + score.notes["duration"]).max(initial=0))
            steps = length // 4 if form == "voices" else length
            assert ends == score.length == steps * score.ticks_per_quarter // yardstick.encoding["grid"]


@pytest.mark.parametrize("form", ["roll", "steps", "voices"])
def test_samples_are_as_long_as_held_out_windows(yardsticks: dict[str, Yardstick], form: str) -> None:
    """A short window has fewer notes: samples that fill it are cut as often, and no more."""
    yardstick = yardsticks[form]
    held, full = yardstick.data["validation"]["length"], whole(yardstick, "train")
    samples = np.concatenate([full] * 3)[: len(held)]
    assert len(samples) == len(held)
    assert sorted(yardstick._lengths(samples, "validation")) == sorted(held)
    again = yardstick._lengths(samples, "validation")
    assert again.tolist() == yardstick._lengths(samples, "validation").tolist()


def test_zeros_behind_a_short_sample_are_padding(yardsticks: dict[str, Yardstick]) -> None:
    for form, one in (("roll", 1), ("steps", 1), ("voices", 4)):
        yardstick = yardsticks[form]
        samples = whole(yardstick, "train")[:1].copy()
        samples[:, 3 * one :] = 0
        assert yardstick._lengths(samples, "validation").tolist() == [3 * one], form
        assert yardstick._decoded(samples, np.array([3 * one]))[0].length == 3 * 480 // 4


def test_what_is_no_note_is_padding_too(yardstick: Yardstick) -> None:
    """A roll of chances: a half and less is silence."""
    samples = whole(yardstick, "train")[:1].astype(np.float32)
    samples[:, 5:] = 0.3
    assert yardstick._lengths(samples, "validation").tolist() == [5]


def test_the_same_pieces_are_as_good_in_files_of_their_own_length(yardstick: Yardstick) -> None:
    """Padding to a longer window adds no empty beats."""
    found = numbers(yardstick, unseen(yardstick))
    assert found["empty_beat_rate_overlap"] == pytest.approx(1)


def test_events_end_where_they_say(yardsticks: dict[str, Yardstick]) -> None:
    yardstick = yardsticks["events"]
    samples: Any = unseen(yardstick)
    longer = np.pad(samples, ((0, 0), (0, 40)))
    assert numbers(yardstick, longer) == numbers(yardstick, samples)
    assert music.spec(yardstick.encoding).shape == samples.shape[1:]
