"""The real data sets: exact counts, and the same bytes twice, whatever the number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.ingest import ingest
from components.settings import BeamSettings, DataSettings
from components.statistics import statistics, summaries_of

pytestmark = pytest.mark.slow

SETS: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "MNIST": ("idx:mnist", {}, {"read": 70_000, "test": 10_000}),
    "CIFAR-10, JPEG": ("images:cifar10/test_10000_jpg.zip", {}, {"read": 10_000}),
    "CIFAR-10, lossless": (
        "images:cifar10/lossless_png_train_tiny.zip",
        {"labels": "cifar10/lossless_png_train_tiny_labels.csv"},
        {"read": 100},
    ),
    "Omniglot": ("images:omniglot/images_background_small1.zip", {"class_folders": [1, 2]}, {"read": 2720}),
    "photographs": ("images:skimage_images", {"resize": 64}, {"read": 9}),
    "odd images": ("images:odd_images", {}, {"read": 40, "rejected": 7}),
    "artworks": (
        "images:artworks_captioned/images",
        {"labels": "artworks_captioned/captions.csv", "captions": "caption", "resize": 32},
        {"read": 129, "rejected": 1},
    ),
    "chorales": (
        "chorales:jsb_chorales/jsb-chorales-quarter.json",
        {},
        {"train": 229, "validation": 76, "test": 77},
    ),
    "tiny Shakespeare": ("text:tinyshakespeare/input.txt", {}, {"read": 553}),
    "UD English": ("conllu:ud_english_ewt", {}, {"read": 2001 + 2077, "test": 2077}),
    "airline": ("series:timeseries/airline-passengers.csv", {}, {"read": 3}),
    "pollution": (
        "series:timeseries/pollution.csv",
        {"channels": ["pm2.5", "TEMP"]},
        {"read": 3},
    ),
}
PATHS = ("labels",)


def settings(name: str, data: Path, beam: BeamSettings) -> DataSettings:
    source, read, _ = SETS[name]
    scheme, where = source.split(":")
    read = {key: str(data / value) if key in PATHS else value for key, value in read.items()}
    return DataSettings(source=f"{scheme}:{data / where}", read=read, beam=beam)


@pytest.mark.parametrize("name", SETS)
def test_counts_are_exact_and_bytes_the_same_with_one_worker_and_with_two(
    name: str, test_data: Path, tmp_path: Path
) -> None:
    manifests = [
        ingest(settings(name, test_data, BeamSettings(workers=workers)), tmp_path / f"records{number}")
        for number, workers in enumerate((1, 1, 2))
    ]
    counts = manifests[0]["counts"]
    assert {key: counts[key] for key in SETS[name][2]} == SETS[name][2]
    assert counts["read"] == sum(counts[part] for part in ("train", "validation", "test", "rejected"))
    assert manifests[1] == manifests[0]
    assert manifests[2] == manifests[0]


def test_the_classes_of_mnist_and_the_characters_of_shakespeare(test_data: Path, tmp_path: Path) -> None:
    published = [5923 + 980, 6742 + 1135, 5958 + 1032, 6131 + 1010, 5842 + 982]
    published += [5421 + 892, 5918 + 958, 6265 + 1028, 5851 + 974, 5949 + 1009]
    for name, feature in (("MNIST", "class"), ("tiny Shakespeare", "character")):
        records = tmp_path / name
        ingest(settings(name, test_data, BeamSettings()), records)
        summaries = summaries_of(statistics(records, tmp_path / f"{name} statistics"))
        found = [summary.features[feature] for summary in summaries.values()]
        if name == "MNIST":
            assert [sum(part.counts[str(i)] for part in found) for i in range(10)] == published
        else:
            assert sum(part.count for part in found) == 1_115_394


def test_the_lengths_of_series_are_exact(test_data: Path, tmp_path: Path) -> None:
    lengths = {
        "airline-passengers.csv": (144, {}),
        "monthly-sunspots.csv": (2820, {}),
        "daily-min-temperatures.csv": (3650, {}),
        "shampoo.csv": (36, {"frequency": "rows"}),
        "pollution.csv": (43_824 - 2_067, {"columns": ["pm2.5"]}),
    }
    for name, (length, read) in lengths.items():
        data = DataSettings(source=f"series:{test_data / 'timeseries' / name}", read=read)
        ingest(data, tmp_path / name)
        values = [
            value
            for shard in (tmp_path / name).glob("*.parquet")
            for row in pq.read_table(shard, columns=["values"]).column("values").to_pylist()
            for value in row
        ]
        assert sum(value is not None and value == value for value in values) == length, name
