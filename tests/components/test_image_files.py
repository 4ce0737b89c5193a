"""images: every file of a folder, glob or archive is one record with its class, or rejected by a rule."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import DataError
from components.image_sources import Read
from components.image_sources import files as source
from components.modalities import Record, Rejected, images
from tests.components.image_folders import DOT, filled, found, said, tarred, zipped
from tests.components.nobody import folder_of_nobody, without_rights
from tests.components.odd_files import saved

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
