"""images: classes, attributes and captions from a CSV, and those of the collections people have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from components.errors import ConfigError, DataError
from components.image_sources import Read
from components.image_sources import files as source
from tests.components.image_folders import filled, found, said

# -- labels, attributes and captions from a CSV --------------------------------------------------------


def csv(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_classes_stand_in_a_csv(tmp_path: Path) -> None:
    filled(tmp_path / "images", "x/a.png", "b.png")
    labels = csv(tmp_path / "labels.csv", "filename,label,more", "x/a.png,cat,1", "./b.png,dog,2")
    assert said(tmp_path / "images", "label", labels=labels) == {"b.png": "dog", "x/a.png": "cat"}


@pytest.mark.parametrize("name", ["b", "b.png", "images/b.png", "images/b"])
def test_a_name_is_seen_from_the_root_or_the_csv_with_or_without_suffix(tmp_path: Path, name: str) -> None:
    filled(tmp_path / "images", "b.png")
    labels = csv(tmp_path / "labels.csv", "id,label", f"{name},dog")
    assert said(tmp_path / "images", "label", labels=labels) == {"b.png": "dog"}
    assert said(tmp_path, "label", labels=csv(tmp_path / "l.csv", "id,label", "images/b,dog")) == {
        "images/b.png": "dog"
    }


def test_attributes_are_columns_of_zero_and_one(tmp_path: Path) -> None:
    """As in CelebA: -1 is no."""
    filled(tmp_path, "1.png", "2.png", "3.png")
    labels = csv(tmp_path / "a.csv", "image_id,Bald,Smiling", "1.png,-1,1", "2.png,1,1", "3.png,0,0")
    right = {"1.png": ["Smiling"], "2.png": ["Bald", "Smiling"], "3.png": []}
    assert said(tmp_path, "attributes", labels=labels) == right


def test_a_caption_may_hold_commas_and_a_class_may_stand_beside_it(tmp_path: Path) -> None:
    filled(tmp_path, "a.png")
    labels = csv(tmp_path / "a.csv", "file,title,class", 'a.png,"Sea, with ""boats""",water')
    assert said(tmp_path, "caption", labels=labels, captions="title") == {"a.png": 'Sea, with "boats"'}
    assert said(tmp_path, "label", labels=labels, captions="title") == {"a.png": "water"}


def test_files_without_a_row_and_rows_without_a_file_are_rejected_by_name(tmp_path: Path) -> None:
    filled(tmp_path, "a.png", "b.png", "c.png")
    labels = csv(tmp_path / "l.csv", "file,title", "a.png,Sea", "c.png,", "gone.png,Sky")
    assert said(tmp_path, "caption", labels=labels, captions="title") == {
        "a.png": "Sea",
        "b.png": "no-caption",
        "c.png": "no-caption",
        "l.csv:gone.png": "missing-file",
    }
    kept = said(tmp_path, "caption", labels=labels, captions="title", unlisted="keep")
    assert kept == {"a.png": "Sea", "b.png": None, "c.png": None, "l.csv:gone.png": "missing-file"}
    labels = csv(tmp_path / "m.csv", "file,label", "a.png,x", "b.png,", "c.png,y")
    assert said(tmp_path, "label", labels=labels) == {"a.png": "x", "b.png": "no-label", "c.png": "y"}


def test_a_bad_row_of_the_csv_is_rejected(tmp_path: Path) -> None:
    filled(tmp_path, "a.png", "b.png")
    labels = csv(tmp_path / "l.csv", "file,label", "a.png,x", "b.png,y,z")
    rules = said(tmp_path, "label", labels=labels)
    assert rules["a.png"] == "x"
    assert rules["b.png"] == "no-label"
    assert len(rules) == 3


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["file,label", "a.png,x", "a.png,y"], "'a.png' stands in lines"),
        (["file,label", "a.png,x", "./a.png,y"], "'a.png' stands in lines"),
        (["name,label", "a.png,x"], "no column of the files' names"),
        (["file,creator", "a.png,Munch"], "the attribute 'creator' is 'Munch'"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_one_sentence(tmp_path: Path, lines: list[str], sentence: str) -> None:
    filled(tmp_path, "a.png")
    with pytest.raises(DataError, match=sentence) as error:
        found(tmp_path, labels=csv(tmp_path / "l.csv", *lines))
    assert "\n" not in str(error.value)


def test_captions_need_their_csv_and_their_column(tmp_path: Path) -> None:
    filled(tmp_path, "a.png")
    with pytest.raises(ConfigError, match=r"data\.read\.labels"):
        found(tmp_path, captions="title")
    with pytest.raises(DataError, match=r"data\.read\.labels: there is no file"):
        found(tmp_path, labels=str(tmp_path / "nowhere.csv"))
    with pytest.raises(DataError, match="did you mean 'title'"):
        found(tmp_path, captions="titel", labels=csv(tmp_path / "l.csv", "file,title", "a.png,x"))


def test_the_fingerprint_holds_the_csv(tmp_path: Path) -> None:
    filled(tmp_path, "a.png")
    read = Read(labels=csv(tmp_path / "l.csv", "file,label", "a.png,x"))
    names = [Path(entry.path).name for entry in source.files(f"images:{tmp_path}", read)]
    assert names == ["a.png", "l.csv"]


# -- what people really have ---------------------------------------------------------------------------


def test_artworks_have_captions_and_the_one_without_a_row_is_named(test_data: Path) -> None:
    folder = test_data / "artworks_captioned"
    options = {"labels": str(folder / "captions.csv"), "captions": "caption", "resize": 8}
    captions = said(folder / "images", "caption", **options)
    assert len(captions) == 129
    assert [key for key, text in captions.items() if text == "no-caption"] == ["sample_mona_lisa.png"]
    assert captions["artic_111164.png"] == "Green and Blue: The Dancer"


def test_cifar_archives_have_their_classes(test_data: Path) -> None:
    labels = Counter(said(test_data / "cifar10/test_10000_jpg.zip", "label").values())
    assert len(labels) == 10
    assert set(labels.values()) == {1000}
    assert labels["airplane"] == 1000


def test_cifar_pngs_have_the_classes_of_their_csv(test_data: Path) -> None:
    folder = test_data / "cifar10"
    names = str(folder / "lossless_png_train_tiny_labels.csv")
    labels = said(folder / "lossless_png_train_tiny.zip", "label", labels=names)
    kept = {key: label for key, label in labels.items() if label != "missing-file"}
    assert len(kept) == 100
    assert kept["train_tiny/1.png"] == "frog"


def test_omniglot_has_alphabets_and_characters(test_data: Path) -> None:
    path = test_data / "omniglot/images_background_small1.zip"
    assert len(set(said(path, "label", colour="grey").values())) == 5
    characters = said(path, "label", colour="grey", class_folders=[1, 2])
    assert len(characters) == 2720
    assert Counter(Counter(characters.values()).values()) == {20: 136}
