"""Near copies of texts: found across the splits where a few letters differ, and no others."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest import ingest
from components.likeness import BYTES, distance
from components.modalities import text
from components.settings import DataSettings


def table(texts: list[str]) -> pa.Table:
    return pa.Table.from_pylist([{"text": said} for said in texts], pa.schema(text.RECORD))


def prose(seed: int, words: int = 300) -> str:
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghij", k=chance.randint(2, 8))) for _ in range(words))


def is_alike(a: str, b: str) -> bool:
    return bool(text.alike(table([a]), table([b]))[0])


def test_a_changed_letter_moves_few_bits_and_another_text_half_of_them() -> None:
    original, other = prose(0), prose(1)
    changed = original[:700] + "#" + original[701:]
    signatures = text.signatures(table([original, changed, other]))
    assert signatures.shape == (3, BYTES)
    assert signatures.dtype == np.uint8
    assert distance(signatures[:1], signatures[1:2])[0] <= 4
    assert 40 < distance(signatures[:1], signatures[2:])[0] < 90


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (prose(0).upper(), True),
        (prose(0).replace(" ", "\n  "), True),
        (prose(0) + " and one more sentence", True),
        (prose(0)[: len(prose(0)) // 2], False),
        (prose(1), False),
    ],
)
def test_alike_is_what_shares_most_runs_of_five_letters(shown: str, expected: bool) -> None:
    assert is_alike(prose(0), shown) is expected


@pytest.mark.parametrize(("a", "b"), [("-" * 40, "-" * 90), ("Thanks", "thanks"), ("", ""), ("", " ")])
def test_rulers_and_short_texts_are_no_copies_of_each_other(a: str, b: str) -> None:
    assert not is_alike(a, b)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=6), cut=st.integers(0, 6))
def test_a_signature_is_of_its_text_alone_whatever_stands_beside_it(texts: list[str], cut: int) -> None:
    whole = text.signatures(table(texts))
    parts = [text.signatures(table(texts[:cut])), text.signatures(table(texts[cut:]))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_many_texts_are_worked_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [prose(seed, 20) for seed in range(30)]
    whole = text.signatures(table(texts))
    monkeypatch.setattr("components.text_likeness.PIECE", 100)
    np.testing.assert_array_equal(text.signatures(table(texts)), whole)


def near(folder: Path, source: str) -> dict:
    ingest(DataSettings(source=source), folder / "records")
    return json.loads((folder / "records/duplicates.json").read_text())["near"]


def test_ingest_finds_the_copies_that_lie_on_both_sides(tmp_path: Path) -> None:
    """Each document is there twice, the second time with three letters changed; documents are split."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for seed in range(40):
        said = prose(seed)
        changed = said
        for place in (200, 600, 1000):
            changed = changed[:place] + "#" + changed[place + 1 :]
        (folder / f"{seed}.txt").write_text(said)
        (folder / f"{seed}-copy.txt").write_text(changed)
    found = near(tmp_path, f"text:{folder}")
    ingest(DataSettings(source=f"text:{folder}"), tmp_path / "again")
    import pyarrow.parquet as pq

    split = {
        key.split("-")[0].split(".")[0] + ("c" if "copy" in key else ""): path.name.split("-")[0]
        for path in sorted((tmp_path / "again").glob("*.parquet"))
        for key in pq.read_table(path).column("key").to_pylist()
    }
    across = sum((split[str(i)] == "train") != (split[f"{i}c"] == "train") for i in range(40))
    assert across >= 5
    assert found["pairs"] >= 0.9 * across
    assert found["leaked"]["validation"] + found["leaked"]["test"] == found["pairs"]


def test_real_texts_raise_no_false_alarm(tmp_path: Path, test_data: Path) -> None:
    assert near(tmp_path / "a", f"text:{test_data}/tinyshakespeare/input.txt")["pairs"] == 0
    assert near(tmp_path / "b", f"conllu:{test_data}/ud_english_ewt")["pairs"] == 0
