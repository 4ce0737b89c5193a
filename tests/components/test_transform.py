"""Transform and examples: learnt from the training split alone, and fed in an order known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.artifacts import reading
from components.errors import DataError, IntegrityError, ResourceError
from components.examples import Examples, gather
from components.ingest import SPLITS, ingest, shards_of
from components.settings import DataSettings
from components.statistics import statistics
from components.transform import transform

BATCH = 16


def made(out: Path, name: str, data: DataSettings) -> Examples:
    if not (out / "records").exists():
        ingest(data, out / "records")
        statistics(out / "records", out / "statistics")
    transform(out / "records", out / "statistics", out / name, data)
    return Examples(out / name)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def grey(out: Path) -> Examples:
    return made(out, "grey", DataSettings(source="digits"))


@pytest.fixture(scope="module")
def dynamic(out: Path, grey: Examples) -> Examples:
    return made(out, "dynamic", DataSettings(source="digits", encode={"binarise": "sample"}))


# -- transform -----------------------------------------------------------------------------------------


def test_every_record_becomes_an_example(out: Path, grey: Examples) -> None:
    import pyarrow.parquet as pq

    counts = reading(out / "records")["counts"]
    for split in SPLITS:
        arrays = grey.arrays(split)
        table = pq.read_table(shards_of(out / "records", split)[0])
        assert grey.count(split) == counts[split] == len(arrays["x"]) == len(arrays["label"])
        assert arrays["label"].tolist() == [int(label) for label in table.column("label").to_pylist()]
        stored = np.frombuffer(b"".join(table.column("pixels").to_pylist()), np.uint8)
        np.testing.assert_array_equal(np.rint(arrays["x"] * 255).ravel(), stored)
    assert grey.spec.shape == (8, 8, 1)
    assert grey.spec.levels == 256
    assert grey.spec.classes == tuple("0123456789")


def test_a_second_transform_gives_the_same_bytes(out: Path, grey: Examples) -> None:
    again = made(out, "again", DataSettings(source="digits"))
    assert again.manifest == grey.manifest


def test_the_fingerprint_follows_the_encoding(grey: Examples, dynamic: Examples) -> None:
    assert dynamic.manifest["fingerprint"] != grey.manifest["fingerprint"]
    assert dynamic.manifest["data_fingerprint"] == grey.manifest["data_fingerprint"]


def test_the_vocabulary_is_of_the_training_split_only(tmp_path: Path) -> None:
    """Each block has a letter of its own, so a letter's presence tells whose statistics were used."""
    letters = [chr(ord("a") + i) for i in range(26)]
    source = tmp_path / "letters.txt"
    source.write_text("".join(letter * 20 + "\n" for letter in letters), "utf-8")
    data = DataSettings.parse(
        {
            "source": f"text:{source}",
            "read": {"block": 16},
            "encode": {"length": 8},
            "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
        }
    )
    examples = made(tmp_path, "examples", data)
    vocabulary = examples.encoding["vocabulary"]
    shown = {split: set(examples.arrays(split)["x"].ravel().tolist()) for split in SPLITS}
    assert vocabulary[:2] == ["\ufffd", "\n"]
    assert 5 < len(vocabulary) - 2 < 21
    assert shown["train"] == set(range(len(vocabulary)))  # 0 is the padding behind a block's end
    assert shown["validation"] <= {0, 1}
    assert shown["test"] <= {0, 1}
    assert examples.spec.vocabulary == len(vocabulary)


def test_no_array_needs_pickle(grey: Examples) -> None:
    files = sorted(grey.folder.glob("*.npy"))
    assert len(files) == 6
    for file in files:
        assert not np.load(file, mmap_mode="r", allow_pickle=False).dtype.hasobject


def test_changed_records_are_not_encoded(tmp_path: Path, grey: Examples, out: Path) -> None:
    import shutil

    records = Path(shutil.copytree(out / "records", tmp_path / "records"))
    (records / "more.parquet").touch()
    with pytest.raises(IntegrityError, match=r"more\.parquet is not in the manifest"):
        transform(records, out / "statistics", tmp_path / "examples", DataSettings(source="digits"))
    assert not (tmp_path / "examples").exists()


def test_a_full_disk_is_said_with_the_path(out: Path, grey: Examples, tiny_disk: Path) -> None:
    examples = tiny_disk / "examples"
    with pytest.raises(ResourceError, match=f"the disk is full while writing {examples}"):
        transform(out / "records", out / "statistics", examples, DataSettings(source="digits"))
    assert list(tiny_disk.iterdir()) == []


# -- several shards ------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(data=st.data(), lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any))
def test_rows_of_several_shards_are_rows_of_their_concatenation(
    data: st.DataObject, lengths: list[int]
) -> None:
    whole = np.arange(2 * sum(lengths)).reshape(-1, 2)
    shards = np.split(whole, np.cumsum(lengths)[:-1])
    rows = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=20).map(np.int64))
    np.testing.assert_array_equal(gather(shards, np.asarray(rows, np.int64).reshape(-1)), whole[rows])


def test_a_large_source_lies_in_shards_and_is_the_same_examples(
    tmp_path: Path, grey: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components import shards

    source = tmp_path / "words.txt"
    source.write_text("".join(f"line {i} of a text\n" for i in range(500)), "utf-8")
    data = DataSettings(source=f"text:{source}", read={"block": 64}, encode={"length": 16})
    one = made(tmp_path / "one", "examples", data)
    monkeypatch.setattr(shards, "SHARD_BYTES", 5000)
    three = made(tmp_path / "three", "examples", data)
    assert len(shards_of(tmp_path / "three/records", "train")) >= 3
    assert len(three.fields("train")["x"]) >= 3
    for split in SPLITS:
        assert rows_of(one.arrays(split)) == rows_of(three.arrays(split))


def rows_of(arrays: dict[str, np.ndarray]) -> list[Any]:
    return sorted(np.concatenate([arrays["x"], arrays["length"][:, None]], axis=1).tolist())


# -- the stream ----------------------------------------------------------------------------------------


def batches(examples: Examples, first: int, last: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    return list(examples.stream(BATCH, seed, first, last).as_numpy_iterator())


@pytest.fixture(scope="module")
def three_epochs(dynamic: Examples) -> list[dict[str, np.ndarray]]:
    return batches(dynamic, 0, 3 * dynamic.steps_per_epoch(BATCH))


def same(a: list[dict[str, np.ndarray]], b: list[dict[str, np.ndarray]]) -> bool:
    return len(a) == len(b) and all(
        x.keys() == y.keys() and all(np.array_equal(x[name], y[name]) for name in x)
        for x, y in zip(a, b, strict=True)
    )


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_stream_goes_on_at_any_step_with_the_same_batches(
    dynamic: Examples, three_epochs: list[dict[str, np.ndarray]], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(three_epochs) - 1))
    last = data.draw(st.integers(first, min(first + 20, len(three_epochs))))
    assert same(batches(dynamic, first, last), three_epochs[first:last])


def test_each_epoch_shows_each_example_at_most_once_in_a_fresh_order_and_with_fresh_noise(
    dynamic: Examples, three_epochs: list[dict[str, np.ndarray]]
) -> None:
    steps = dynamic.steps_per_epoch(BATCH)
    assert steps == dynamic.count("train") // BATCH
    raw = dynamic.fields("train")["x"][0]
    places = {image.tobytes(): i for i, image in enumerate(raw)}
    assert len(places) == len(raw)  # no two training scans are equal, so each is known by its pixels
    plain = Examples(dynamic.folder)
    plain.encoding["binarise"] = "none"
    orders = []
    for epoch in range(3):
        grey = batches(plain, epoch * steps, (epoch + 1) * steps)
        shown = np.concatenate([batch["x"] for batch in grey])
        orders.append([places[np.rint(image * 255).astype(np.uint8).tobytes()] for image in shown])
        assert len(set(orders[-1])) == steps * BATCH
        binary = np.concatenate([batch["x"] for batch in three_epochs[epoch * steps : (epoch + 1) * steps]])
        assert set(np.unique(binary)) == {0, 1}
        assert (binary[shown == 0] == 0).all()
        assert (binary[shown == 1] == 1).all()
    assert orders[0] != orders[1] != orders[2]
    noise = [np.empty_like(raw[: steps * BATCH], np.float32) for _ in range(2)]
    common = sorted(set(orders[0]) & set(orders[1]))
    for epoch in range(2):
        at = {place: i for i, place in enumerate(orders[epoch])}
        binary = np.concatenate([batch["x"] for batch in three_epochs[epoch * steps : (epoch + 1) * steps]])
        noise[epoch] = binary[[at[place] for place in common]]
    assert (noise[0] != noise[1]).any()


def test_another_seed_gives_another_order_and_the_same_seed_the_same(dynamic: Examples) -> None:
    assert same(batches(dynamic, 0, 3, seed=1), batches(dynamic, 0, 3, seed=1))
    assert not same(batches(dynamic, 0, 3, seed=1), batches(dynamic, 0, 3, seed=2))


def test_one_split_as_arrays_is_one_fixed_draw(dynamic: Examples) -> None:
    first, again = dynamic.arrays("test"), dynamic.arrays("test")
    np.testing.assert_array_equal(first["x"], again["x"])
    assert (dynamic.arrays("test", seed=1)["x"] != first["x"]).any()
    assert len(dynamic.arrays("test", limit=5)["x"]) == 5


def test_fewer_examples_than_a_batch_are_no_step(dynamic: Examples) -> None:
    count = dynamic.count("train")
    assert dynamic.steps_per_epoch(count) == 1
    with pytest.raises(DataError, match=f"holds {count} examples, fewer than one batch of {count + 1}"):
        dynamic.steps_per_epoch(count + 1)
