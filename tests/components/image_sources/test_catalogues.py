"""Data sets of Hugging Face and of TensorFlow Datasets, made by their own libraries and read through them.

Where an extra is not installed its own tests skip, and what is then said is tested.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import DataError
from components.image_sources import hugging_face, tensorflow_datasets
from components.modalities import Rejected, images
from tests.components.image_sources.records import found, pictures, said, table

HAS_HF = importlib.util.find_spec("datasets") is not None
HAS_TFDS = importlib.util.find_spec("tensorflow_datasets") is not None
needs_hf = pytest.mark.skipif(not HAS_HF, reason="the extra hf is not installed")
needs_tfds = pytest.mark.skipif(not HAS_TFDS, reason="the extra tfds is not installed")

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 5, 4, 3), np.uint8)
NAMES = ["cat", "dog", "cow"]


@pytest.mark.parametrize(
    ("source", "there", "sentence"),
    [
        ("hf:ylecun/mnist", HAS_HF, r"pip install 'mozart\[hf\]'"),
        ("tfds:mnist", HAS_TFDS, r"pip install 'mozart\[tfds\]'"),
    ],
)
def test_without_the_extra_it_is_named(source: str, there: bool, sentence: str) -> None:
    if there:
        pytest.skip("the extra is installed")
    with pytest.raises(DataError, match=sentence):
        images.preflight(source, images.Read())


# -- Hugging Face --------------------------------------------------------------------------------------


def hf_saved(folder: Path, splits: tuple[str, ...], **columns: Any) -> Path:
    """Ten images a split, saved by the library."""
    import datasets

    def split(seed: int) -> Any:
        from PIL import Image

        rows = {
            "image": [Image.fromarray(image) for image in np.roll(IMAGES, seed, 0)],
            "label": [i % 3 for i in range(10)],
            **columns,
        }
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=NAMES),
                **{name: datasets.Value("string") for name in columns},
            }
        )
        return datasets.Dataset.from_dict(rows, features)

    datasets.DatasetDict({name: split(i) for i, name in enumerate(splits)}).save_to_disk(folder)
    return folder


@needs_hf
def test_hf_saved_to_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hf_saved(tmp_path / "saved", ("train", "test"), text=[f"number {i}" for i in range(10)])
    monkeypatch.setattr(hugging_face, "BATCH_ROWS", 3)
    monkeypatch.setattr(hugging_face, "CHUNK_BYTES", 500)
    assert len(images.plan(f"hf:{folder}", images.Read())) > 4
    records = table(f"hf:{folder}", captions="text")
    shown = pictures(records)
    assert sorted(shown) == [f"{split}/{i:07d}" for split in ("test", "train") for i in range(10)]
    for i in range(10):
        np.testing.assert_array_equal(shown[f"train/{i:07d}"], IMAGES[i])
        np.testing.assert_array_equal(shown[f"test/{i:07d}"], IMAGES[i - 1])
    assert said(records, "label")["train/0000004"] == "dog"
    assert said(records, "caption")["train/0000004"] == "number 4"
    parts = {key.split("/")[0]: part for key, part in said(records, "part").items()}
    assert parts == {"train": "development", "test": "test"}
    assert images.files(f"hf:{folder}")


@needs_hf
def test_hf_images_that_lie_in_files(tmp_path: Path) -> None:
    import datasets
    from PIL import Image

    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    rows = datasets.Dataset.from_dict({"image": [str(tmp_path / f"{i}.png") for i in range(10)]})
    rows = rows.cast_column("image", datasets.Image())
    hugging_face._loaded.cache_clear()
    rows.save_to_disk(tmp_path / "saved")
    records = table(f"hf:{tmp_path / 'saved'}")
    np.testing.assert_array_equal(pictures(records)["all/0000007"], IMAGES[7])
    assert set(records.column("part").to_pylist()) == {None}


@needs_hf
def test_hf_bytes_that_are_no_image_are_set_aside(tmp_path: Path) -> None:
    import datasets

    rows = [{"bytes": b"<html>", "path": None}]
    features = datasets.Features({"image": datasets.Image(decode=False)})
    made = datasets.Dataset.from_dict({"image": rows}, features)
    made.save_to_disk(tmp_path / "saved")
    (rejected,) = found(f"hf:{tmp_path / 'saved'}")
    assert isinstance(rejected, Rejected)
    assert (rejected.key, rejected.rule) == ("all/0000000", "foreign-format")


@needs_hf
def test_hf_a_name_without_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"load_dataset\('nobody/nothing', 'large'\)\.save_to_disk\(FOLDER\)"):
        images.plan("hf:nobody/nothing/large", images.Read())
    with pytest.raises(DataError, match="there is no folder"):
        images.preflight(f"hf:{tmp_path / 'nowhere'}", images.Read())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be loaded"):
        images.plan(f"hf:{tmp_path / 'empty'}", images.Read())


# -- TensorFlow Datasets -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three splits, prepared by the library's own builder."""
    if not HAS_TFDS:
        pytest.skip("the extra tfds is not installed")
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path_factory.mktemp("package")

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(shape=(5, 4, 3)),
                "label": tfds.features.ClassLabel(names=NAMES),
                "text": tfds.features.Text(),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager: Any) -> Any:
            return {split: self._generate_examples() for split in ("train", "validation", "test")}

        def _generate_examples(self) -> Any:
            for i, image in enumerate(IMAGES):
                yield i, {"image": image, "label": i % 3, "text": f"número {i}"}

    builder = Tiny(data_dir=str(tmp_path_factory.mktemp("prepared")))
    builder.download_and_prepare()
    return Path(builder.data_path)


@needs_tfds
def test_tfds_from_a_prepared_folder(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_datasets, "BATCH_ROWS", 3)
    monkeypatch.setattr(tensorflow_datasets, "CHUNK_BYTES", 500)
    assert len(images.plan(f"tfds:{prepared}", images.Read())) > 3
    records = table(f"tfds:{prepared}", captions="text")
    assert records.num_rows == 30
    told = {row["caption"]: row for row in records.to_pylist() if row["key"].startswith("test/")}
    shown = pictures(records)
    for i in range(10):
        row = told[f"número {i}"]
        np.testing.assert_array_equal(shown[row["key"]], IMAGES[i])
        assert row["label"] == NAMES[i % 3]
    parts = {key.split("/")[0]: part for key, part in said(records, "part").items()}
    assert parts == {name: name for name in ("train", "validation", "test")}
    assert sorted(shown)[:2] == ["test/0000000", "test/0000001"]


@needs_tfds
def test_tfds_the_same_records_whatever_the_chunks(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(f"tfds:{prepared}").combine_chunks()
    monkeypatch.setattr(tensorflow_datasets, "CHUNK_BYTES", 500)
    assert table(f"tfds:{prepared}").combine_chunks().equals(whole)


@needs_tfds
def test_tfds_features_that_are_not_there(prepared: Path) -> None:
    for option in ("labels", "captions"):
        with pytest.raises(DataError, match=rf"has no feature 'kind' \(data\.read\.{option}\): image, label"):
            images.plan(f"tfds:{prepared}", images.Read.parse({option: "kind"}))


@needs_tfds
@pytest.mark.skipif(bool(os.environ.get("MOZART_TEST_NETWORK")), reason="the network is there")
def test_tfds_a_name_that_is_not_known_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run tfds\.load\('nobodys_data', data_dir=FOLDER\)"):
        images.plan("tfds:nobodys_data", images.Read())
    with pytest.raises(DataError, match="there is no folder"):
        images.preflight(f"tfds:{tmp_path / 'nowhere'}", images.Read())
