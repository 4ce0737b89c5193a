"""From a treebank to batches: tagged words in buckets of lengths, the same whoever and however often it is done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from components.errors import DataError
from components.examples import Examples
from components.ingest import SPLITS, ingest
from components.modalities import text
from components.settings import DataSettings
from components.statistics import statistics
from components.transform import transform

BATCH = 16


def made(out: Path, source: str, workers: int = 1, **encode: object) -> Examples:
    data = DataSettings.parse({"source": source, "encode": encode, "beam": {"workers": workers}})
    if not (out / "records").exists():
        ingest(data, out / "records")
        statistics(out / "records", out / "statistics")
    name = str(encode["unit"])
    transform(out / "records", out / "statistics", out / name, data)
    return Examples(out / name)


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory, test_data: Path) -> Path:
    """A folder where examples of the English Web Treebank are made."""
    out = tmp_path_factory.mktemp("treebank")
    made(out, f"conllu:{test_data}/ud_english_ewt", unit="words", length=32, buckets=[8, 16, 32])
    return out


def test_every_word_and_tag_is_in_an_example(treebank: Path) -> None:
    examples = Examples(treebank / "words")
    counts = {split: int(examples.arrays(split)["length"].sum()) for split in SPLITS}
    assert counts["train"] + counts["validation"] == 25_147
    assert counts["test"] == 25_094
    assert examples.spec.tags == 18  # 17 and the unknown one
    assert len(examples.encoding["tags"]) == 18
    arrays = examples.arrays("test")
    filled = np.arange(32) < arrays["length"][:, None]
    assert (arrays["tags"][filled] > 0).all()
    assert (arrays["tags"][~filled] == 0).all()


def test_a_batch_is_as_long_as_its_bucket_and_its_tags_with_it(treebank: Path) -> None:
    examples = Examples(treebank / "words")
    seen = set()
    for batch in examples.stream(BATCH, 0, 0, examples.steps_per_epoch(BATCH)).as_numpy_iterator():
        assert batch["x"].shape == batch["tags"].shape
        assert batch["length"].max() <= batch["x"].shape[1]
        seen.add(batch["x"].shape)
    assert seen == {(BATCH, 8), (BATCH, 16), (BATCH, 32)}


@pytest.mark.parametrize("unit", ["characters", "bytes", "bpe"])
def test_the_sentences_of_a_treebank_are_texts_too(treebank: Path, unit: str) -> None:
    examples = made(treebank, "conllu:", unit=unit, length=512)
    arrays = examples.arrays("test")
    assert examples.spec.tags == 0
    assert arrays["x"].max() < examples.spec.vocabulary
    said = text.decode(arrays["x"], examples.encoding)
    assert any(one.startswith("What if Google expanded on its search-engine") for one in said)


def test_a_second_time_and_two_workers_give_the_same_examples(tmp_path: Path, test_data: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    whole = (test_data / "tinyshakespeare/input.txt").read_text("utf-8")[:60_000]
    for i in range(12):
        (folder / f"{i}.txt").write_text(whole[i * 5000 : (i + 1) * 5000], "utf-8")
    found = [
        made(tmp_path / name, f"text:{folder}", workers, unit="bpe", vocabulary_size=500).manifest
        for name, workers in (("one", 1), ("again", 1), ("two", 2))
    ]
    assert found[0] == found[1] == found[2]


PAIRS = [("eins", "one"), ("zwei", "two"), ("drei", "three"), ("vier", "four"), ("elf", "eleven")]


def rows_of(folder: Path, pairs: list[tuple[str, str]]) -> str:
    """A source of rows `source<TAB>target`, each ten times with a number."""
    lines = [{"text": f"{source} {k}\t{k} {target}"} for source, target in pairs for k in range(10)]
    file = folder / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return f"text:{file}"


@pytest.mark.parametrize("unit", ["characters", "bytes", "bpe"])
def test_pairs_have_a_separator(unit: str, tmp_path: Path) -> None:
    encode = {"unit": unit, "length": 24, "pairs": True} | ({"vocabulary_size": 280} if unit == "bpe" else {})
    examples = made(tmp_path, rows_of(tmp_path, PAIRS), **encode)
    arrays = examples.arrays("train")
    assert examples.spec.separator > 0
    within = np.arange(24) < arrays["length"][:, None]
    assert (((arrays["x"] == examples.spec.separator) & within).sum(axis=1) == 1).all()
    assert text.decode([[examples.spec.separator]], examples.encoding) == ["\t"]


def test_records_that_are_no_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.encode\.pairs: the \d+ records .* hold \d+ tabs"):
        made(
            tmp_path,
            rows_of(tmp_path, [*PAIRS, ("zwölf\t", "twelve")]),
            unit="characters",
            length=24,
            pairs=True,
        )


def test_pairs_of_words_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs are of unit characters, bytes or bpe"):
        text.Encode.parse({"unit": "words", "pairs": True})
