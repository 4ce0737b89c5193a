"""images: every file of a folder, glob or archive is one record with its class, or rejected by a rule."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.anomalies import rejections
from components.errors import ConfigError, DataError
from components.image_sources import Read
from components.image_sources import files as source
from components.ingest import SPLITS, ingest, shards_of
from components.modalities import Record, Rejected, images
from components.settings import DataSettings
from tests.components.nobody import folder_of_nobody, without_rights
from tests.components.odd_files import RED, crafted, saved

DOT = saved(Image.new("RGB", (2, 2), RED), "PNG")


def found(where: Path | str, **options: Any) -> dict[str, Record | Rejected]:
    """Key → what the source yields, each chunk told as JSON would tell it."""
    settings = images.Read.parse(options)
    images.preflight(f"images:{where}", settings)
    chunks = json.loads(json.dumps(images.plan(f"images:{where}", settings)))
    every = [one for chunk in chunks for one in images.read(chunk, settings)]
    by_key = {one.key: one for one in every if isinstance(one, Record | Rejected)}
    assert len(by_key) == len(every)
    return by_key


def said(where: Path | str, field: str, **options: Any) -> dict[str, Any]:
    """Key → a field of its record, or the rule by which it is rejected."""
    return {
        key: one.rule if isinstance(one, Rejected) else one.fields[field]
        for key, one in found(where, **options).items()
    }


def filled(folder: Path, *names: str) -> Path:
    """`folder` with the same small PNG under each name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(DOT)
    return folder


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, DOT)
    return path


def tarred(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(DOT)
            archive.addfile(info, io.BytesIO(DOT))
    return path


# -- folders and globs ---------------------------------------------------------------------------------


def test_the_class_is_the_first_folder_and_other_files_are_passed_over(tmp_path: Path) -> None:
    filled(tmp_path, "cat/a.png", "dog/deep/b.PNG", "c.png", "cat/notes.txt", ".hidden.png", "README")
    (tmp_path / "cat/folder.png").mkdir()
    assert said(tmp_path, "label") == {"cat/a.png": "cat", "dog/deep/b.PNG": "dog", "c.png": None}


@pytest.mark.parametrize(
    ("levels", "classes"),
    [
        ([], [None, None]),
        ([1], ["Greek", "Greek"]),
        ([2], ["alpha", "beta"]),
        ([1, 2], ["Greek/alpha", "Greek/beta"]),
        ([3], [None, "old"]),
    ],
)
def test_any_folders_can_be_the_class(tmp_path: Path, levels: list[int], classes: list[str | None]) -> None:
    filled(tmp_path, "Greek/alpha/1.png", "Greek/beta/old/1.png")
    assert list(said(tmp_path, "label", class_folders=levels).values()) == classes


def test_a_record_has_every_column_and_its_pixels(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(values), "PNG"))
    record = found(tmp_path)["a.png"]
    assert isinstance(record, Record)
    assert set(record.fields) == {field.name for field in images.RECORD}
    assert record.fields["pixels"] == values.tobytes()
    assert [record.fields[side] for side in ("height", "width", "channels")] == [2, 4, 3]
    assert said(tmp_path, "height", resize=4) == {"a.png": 4}


def test_images_of_other_formats_are_rejected_and_not_passed_over(tmp_path: Path) -> None:
    filled(tmp_path, "a.png")
    (tmp_path / "b.psd").write_bytes(b"8BPS" + bytes(60))
    (tmp_path / "c.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(60))
    assert said(tmp_path, "channels") == {"a.png": 3, "b.psd": "foreign-format", "c.heic": "foreign-format"}


def test_a_glob_takes_what_it_names(tmp_path: Path) -> None:
    filled(tmp_path, "cat/a.png", "cat/b.gif", "dog/c.png", "bird/d.data")
    assert said(f"{tmp_path}/*/*.png", "label") == {"cat/a.png": "cat", "dog/c.png": "dog"}
    assert said(f"{tmp_path}/bird/*", "label") == {"d.data": None}
    assert said(tmp_path / "cat/a.png", "label") == {"a.png": None}


def test_nothing_there_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    for where in (tmp_path, tmp_path / "nowhere", f"{tmp_path}/*.png", ""):
        with pytest.raises(DataError) as error:
            found(where)
        assert "\n" not in str(error.value)


def test_keys_stay_when_data_grow(tmp_path: Path) -> None:
    few = set(found(filled(tmp_path, "a/1.png", "a/3.png")))
    assert few < set(found(filled(tmp_path, "0/0.png", "a/2.png", "b/1.png")))
    packed = set(found(zipped(tmp_path / "few.zip", "top/a/1.png")))
    assert packed < set(found(zipped(tmp_path / "many.zip", "top/a/1.png", "other/b/1.png")))


def test_chunks_are_bounded_by_files_and_by_bytes(tmp_path: Path) -> None:
    filled(tmp_path, *(f"{i:03d}.png" for i in range(300)))
    chunks = source.plan(f"images:{tmp_path}", Read())
    assert [len(chunk["names"]) for chunk in chunks] == [256, 44]
    for name in ("100.png", "200.png"):
        (tmp_path / name).write_bytes(DOT + bytes(5_000_000))
    assert [len(chunk["names"]) for chunk in source.plan(f"images:{tmp_path}", Read())] == [200, 100]
    assert source.plan(f"images:{tmp_path}", Read()) == source.plan(f"images:{tmp_path}", Read())


def test_an_archive_is_few_chunks_whatever_its_size(tmp_path: Path) -> None:
    names = [f"a/{i:05d}.png" for i in range(12_000)]
    path = zipped(tmp_path / "x.zip", *names)
    assert {len(chunk["names"]) for chunk in source.plan(f"images:{path}", Read())} == {375}
    assert len(source.plan(f"images:{tarred(tmp_path / 'x.tar.gz', *names[:600])}", Read())) == 1


def test_enormous_files_are_not_even_opened(tmp_path: Path) -> None:
    filled(tmp_path, "a.png", "huge.png")
    os.truncate(tmp_path / "huge.png", 2**29)  # a hole: it takes no room
    assert said(tmp_path, "channels") == {"a.png": 3, "huge.png": "too-many-bytes"}


# -- files that cannot be had --------------------------------------------------------------------------


def test_links_within_the_root_are_followed_and_those_out_of_it_refused(tmp_path: Path) -> None:
    filled(tmp_path, "secret/a.png", "root/b.png", "root2/c.png")
    root = tmp_path / "root"
    (root / "inside.png").symlink_to("b.png")
    (root / "outside.png").symlink_to(tmp_path / "secret/a.png")
    (root / "sibling.png").symlink_to(tmp_path / "root2/c.png")
    (root / "dangling.png").symlink_to("nowhere.png")
    (root / "folder").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root)
    assert said(root, "channels") == {
        "b.png": 3,
        "inside.png": 3,
        "outside.png": "outside-root",
        "sibling.png": "outside-root",
        "dangling.png": "dangling-link",
        "folder": "linked-folder",
        "loop": "linked-folder",
    }
    (tmp_path / "alias").symlink_to(root)
    assert said(tmp_path / "alias", "channels") == said(root, "channels")


def test_a_name_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff\xfe.png", "wb") as file:
        file.write(DOT)
    filled(tmp_path, "é.png")
    assert said(tmp_path, "channels") == {"é.png": 3, "\\xff\\xfe.png": "not-utf8-name"}


def test_a_file_that_vanished_is_rejected(tmp_path: Path) -> None:
    filled(tmp_path, "a.png", "b.png")
    chunks = source.plan(f"images:{tmp_path}", Read())
    (tmp_path / "a.png").unlink()
    first, second = (one for chunk in chunks for one in source.read(chunk, Read()))
    assert isinstance(first, Rejected)
    assert (first.key, first.rule) == ("a.png", "no-file")
    assert isinstance(second, Record)


def test_a_file_without_permission_is_rejected() -> None:
    with folder_of_nobody() as folder:
        filled(folder, "a.png", "b.png")
        (folder / "a.png").chmod(0)
        with without_rights():
            assert said(folder, "channels") == {"a.png": "no-file", "b.png": 3}


def test_a_folder_without_permission_stops_the_line() -> None:
    with folder_of_nobody() as folder:
        (filled(folder, "b.png", "closed/c.png") / "closed").chmod(0)
        with (
            without_rights(),
            pytest.raises(DataError, match="closed' may not be read: see to its permissions"),
        ):
            found(folder)
        (folder / "closed").chmod(0o700)


# -- archives ------------------------------------------------------------------------------------------

PACKED = ("top/cat/a.png", "top/dog/deep/b.png", "top/c.png", "top/notes.txt", "__MACOSX/top/._a.png")


@pytest.mark.parametrize(("pack", "end"), [(zipped, "zip"), (tarred, "tar"), (tarred, "tar.gz")])
def test_the_single_top_folder_of_an_archive_is_no_class(tmp_path: Path, pack: Any, end: str) -> None:
    path = pack(tmp_path / f"x.{end}", *PACKED)
    right = {"top/cat/a.png": "cat", "top/dog/deep/b.png": "dog", "top/c.png": None}
    assert said(path, "label") == right
    assert said(path, "label", class_folders=[1, 2])["top/dog/deep/b.png"] == "dog/deep"


def test_several_top_folders_of_an_archive_are_classes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", "cat/a.png", "dog/b.png")
    assert said(path, "label") == {"cat/a.png": "cat", "dog/b.png": "dog"}


def test_a_damaged_member_is_rejected_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in ("a.png", "b.png", "c.png"):
            archive.writestr(name, DOT)
    data = bytearray(path.read_bytes())
    data[data.index(b"b.png") + 5 + 40] ^= 0xFF
    path.write_bytes(data)
    assert said(path, "channels") == {"a.png": 3, "b.png": "damaged-member", "c.png": 3}


def test_an_archive_that_climbs_out_is_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        found(zipped(tmp_path / "x.zip", "a.png", "../b.png"))


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


def test_each_of_the_40_odd_images_is_a_record_or_rejected(test_data: Path) -> None:
    every = found(test_data / "odd_images")
    assert len(every) == 40
    assert Counter(one.rule for one in every.values() if isinstance(one, Rejected)) == {
        "truncated": 5,
        "too-many-pixels": 1,
        "foreign-format": 1,
    }


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


# -- faults, row C: crafted files, strict and tolerant -------------------------------------------------


@pytest.fixture(scope="module")
def crafted_records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What ingest makes of all crafted files."""
    folder = tmp_path_factory.mktemp("crafted")
    for name, (data, _) in crafted().items():
        (folder / name).write_bytes(data)
    records = tmp_path_factory.mktemp("records") / "records"
    return records, ingest(DataSettings(source=f"images:{folder}"), records)


def test_crafted_files_are_written_or_rejected_by_their_rules(
    crafted_records: tuple[Path, dict[str, Any]],
) -> None:
    records, manifest = crafted_records
    lines = (records / "rejected/rejected.jsonl").read_text(encoding="utf-8").splitlines()
    rules = {line["key"]: line["rule"] for line in map(json.loads, lines)}
    assert rules == {name: rule for name, (_, rule) in crafted().items() if rule is not None}
    written = {
        key
        for split in SPLITS
        for shard in shards_of(records, split)
        for key in pq.read_table(shard)["key"].to_pylist()
    }
    assert written == {name for name, (_, rule) in crafted().items() if rule is None}
    assert manifest["counts"]["read"] == len(crafted()) >= 30


@pytest.mark.parametrize("tolerated", [0.0, 1.0])
def test_crafted_files_stop_the_line_only_where_it_is_strict(
    crafted_records: tuple[Path, dict[str, Any]], tolerated: float
) -> None:
    records, manifest = crafted_records
    (told,) = rejections(manifest["counts"], records, tolerated)
    assert told.severity == ("error" if tolerated == 0 else "warning")
    assert "the first is bomb.gif: the image has far more than" in told.message


@pytest.mark.parametrize("name", [name for name, (_, rule) in crafted().items() if rule is not None])
def test_each_broken_file_is_told_with_its_name_reason_and_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(crafted()[name][0])
    told = found(tmp_path)[name]
    assert isinstance(told, Rejected)
    assert told.reason
    assert told.remedy
    assert "\n" not in told.reason
