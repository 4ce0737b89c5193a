"""The report of a run: its numbers, reasons, pictures and texts are there."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from components.accumulators import Categorical
from components.artifacts import write_json
from components.modalities.images import write_samples
from components.modalities.text import write_samples as write_texts
from components.report import number
from tests.components.reported_run import (
    HOSTILE,
    MEASURED,
    MISSING,
    change,
    page_of,
    splits_of,
    whole_run,
    words_of,
)


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Path]:
    return whole_run(tmp_path)


def test_whole_run_says_its_numbers_reasons_and_origin(tmp_path, run):
    page = page_of(tmp_path, run)
    words = words_of(page)
    assert "published as version 8" in words
    for said in ("5.828", "4.125", "39.63", "96.49", "3.325", "6.013", "0.625", "champion, version 7"):
        assert said in words, said
    assert "✓ classifier_fid is 4.125." in words
    assert "✗ copy_rate is 0.5, above its maximum 0.05." in words
    assert "n 16 · features classifier@abc · seed 3" in words
    assert "names 97.3 % of the test split" in words
    assert "12 records read, 2 rejected · size 4x4x1" in words
    assert "loss: 1.25 at the end" in words
    assert "log-odds" in words  # the unit of real_logit
    for said in ("f00d", "c0de", "d16e57", "keras 3.15.1", "width 32", "source: images:<pets>"):
        assert said in words, said
    assert not [said for said in MISSING.values() if said in words]
    assert page.count('src="data:image/png;base64,') == 3  # samples, real ones, samples over neighbours
    assert page.count("<svg") == 4  # two curves, classes, levels
    assert len(page) < 200_000


def test_main_metric_comes_first_and_its_best_floor_is_the_lowest(tmp_path, run):
    words = words_of(page_of(tmp_path, run))
    assert re.search(r"best floor 39\.63 normal \(covariance full\)", words)
    table = words[words.index("metric validation test") :]
    assert table.index("classifier_fid") < table.index("precision")


def test_where_higher_is_better_the_best_floor_is_the_highest(tmp_path, run):
    measured = copy.deepcopy(MEASURED) | {"metric": "precision"}
    measured["floors"]["normal (covariance full)"]["test"]["precision"]["value"] = 0.71
    write_json(run["evaluation"] / "evaluation.json", measured)
    assert "best floor 0.71 normal (covariance full)" in words_of(page_of(tmp_path, run))


def test_an_open_verdict_says_so(tmp_path, run):
    del run["release"]
    verdict = {
        "blessed": False,
        "outcome": "inconclusive",
        "reasons": ["inconclusive: recall is 0.5.", "noted: x."],
    }
    change(run["evaluation"], "evaluation.json", verdict=verdict)
    words = words_of(page_of(tmp_path, run))
    assert "tiny inconclusive, not published" in words
    assert "Verdict: inconclusive" in words
    assert "? recall is 0.5. ! x." in words


def test_slices_notes_and_intervals_are_told(tmp_path, run):
    measured = copy.deepcopy(MEASURED)
    measured["test"]["classifier_fid"] |= {
        "low": 5.1,
        "high": 6.6,
        "interval": "jackknife of 20 shards",
        "plain": 9.5,
    }
    measured |= {
        "notes": {"path_length": HOSTILE},
        "slices": {"validation": {HOSTILE: {"recall": {"value": 0.25, "low": 0.125, "high": 0.5}}}},
        "samples": 4000,
        "settings": {"samples": 1000},
    }
    write_json(run["evaluation"] / "evaluation.json", measured)
    page = page_of(tmp_path, run)
    words = words_of(page)
    for said in (
        "5.828 5.1 to 6.6",
        "uncorrected 9.5 · n 16",
        "interval by jackknife of 20 shards",
        "Worst by recall: 1 of 1 slices",
        "0.25 0.125 to 0.5",
        f"Not measured path_length {HOSTILE}",
        "4,000 samples of each model, 1,000 at first",
    ):
        assert said in words, said
    assert "<script" not in page


def test_pictures_of_latents_and_reconstructions(tmp_path, run):
    images = np.random.default_rng(0).random((16, 4, 4, 1), np.float32)
    for part in ("reconstructions", "interpolations", "traversals"):
        write_samples(images, {}, run["evaluation"] / part)
    far = np.full(16, 2.0)
    np.savez(
        run["evaluation"] / "pictures.npz",
        samples=images,
        nearest=images,
        distances=0.5 * far,
        real_distances=far,
        traversed=np.array([11, 4]),
    )
    page = page_of(tmp_path, run)
    words = words_of(page)
    assert page.count('src="data:image/png;base64,') == 6
    assert "Those of largest effect, from above: 11, 4." in words
    assert page.count('class="open" title="nearer than any') == 16


def test_text_is_shown_as_text(tmp_path, run):
    for file in ("samples.png", "real.png", "pictures.npz"):
        (run["evaluation"] / file).unlink()
    tokens = np.array([[1, 2, 3], [2, 2, 1]])
    encoding = {"vocabulary": ["?", "<", "\n", "b"]}
    write_texts(tokens, encoding, run["evaluation"] / "samples")
    write_texts(tokens[:1], encoding, run["evaluation"] / "real")
    rare = {chr(0x100 + i): 1 for i in range(40)}
    characters = {"character": Categorical({"<": 3, "\n": 5, "$": 2, **rare})}
    change(run["statistics"], "statistics.json", splits=splits_of(characters))
    page = page_of(tmp_path, run)
    assert page.count("<pre>") == 4  # two samples, a real one, the recipe
    assert "<pre>\n&lt;\nb</pre>" in page
    assert "<img" not in page
    words = words_of(page)
    assert "distinct character 43" in words
    assert "↵ < $" in words  # commonest first, the line's end made visible


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5.82885, "5.829"),
        (10.0, "10"),
        (0.002, "0.002"),
        (-56.8006, "−56.8"),
        (0.0, "0"),
        (123456.7, "123,457"),
        (float("nan"), "—"),
        (float("inf"), "—"),
        (None, "—"),
    ],
)
def test_number(value, said):
    assert number(value) == said
