"""Archives: read in place; one bad member refuses the whole, and nothing is ever written."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import archives
from components.errors import DataError

FILES = {"a/one.txt": b"one" * 50, "a/b/two.txt": b"", "three.txt": bytes(range(256)) * 40}
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("a")
            for name, body in files.items():
                archive.writestr(name, body)
        return path
    kind = path.name.split(".")[-1].replace("tgz", "gz").replace("tar", "")
    with tarfile.open(path, f"w:{kind}") as archive:
        for name, body in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(body)
            archive.addfile(told, io.BytesIO(body))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_members_and_their_contents(tmp_path: Path, suffix: str) -> None:
    path = str(pack(tmp_path / f"files{suffix}", FILES))
    assert archives.is_archive(path)
    assert {member.name: member.bytes for member in archives.members(path)} == {
        name: len(body) for name, body in FILES.items()
    }
    assert dict(archives.contents(path, FILES)) == FILES
    assert dict(archives.contents(path, ["three.txt"])) == {"three.txt": FILES["three.txt"]}
    assert [file.name for file in tmp_path.iterdir()] == [f"files{suffix}"]


# -- what no honest archive holds ----------------------------------------------------------------------


def zip_with(*entries: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
            archive.writestr("good.txt", b"good")
            for entry in entries:
                archive.writestr(entry, b"bad")
        return folder / "bad.zip"

    return make


def zip_of_kind(kind: int) -> Callable[[Path], Path]:
    told = zipfile.ZipInfo("odd")
    told.create_system, told.external_attr = 3, (kind | 0o644) << 16
    return zip_with(told)


def tar_with(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", count: int = 1
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / "bad.tar.gz", "w:gz") as archive:
            for _ in range(count):
                told = tarfile.TarInfo(name)
                told.type, told.linkname = kind, link
                told.size = 3 if kind == tarfile.REGTYPE else 0
                archive.addfile(told, io.BytesIO(b"bad"))
        return folder / "bad.tar.gz"

    return make


def zip_bomb(folder: Path) -> Path:
    """A thousand times its size, beyond the free gigabyte: stated so in the directory."""
    with zipfile.ZipFile(folder / "bad.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"zeros{number}", b"0")
    body = bytearray((folder / "bad.zip").read_bytes())
    at = 0
    while (at := body.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<I", body, at + 24, 999_000_000)
        at += 4
    (folder / "bad.zip").write_bytes(body)
    return folder / "bad.zip"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip: absolute": (zip_with("/etc/passwd"), "has an absolute name"),
    "zip: drive": (zip_with("C:\\x"), "has an absolute name"),
    "zip: parent": (zip_with("../x"), "leaves the folder"),
    "zip: parent inside": (zip_with("a/../../x"), "leaves the folder"),
    "zip: parent with backslash": (zip_with("a\\..\\..\\x"), "leaves the folder"),
    "zip: only dots": (zip_with(".."), "leaves the folder"),
    "zip: twice": (zip_with("x", "x"), "stands twice"),
    "zip: symbolic link": (zip_of_kind(0o120000), "is a link or a device"),
    "zip: device": (zip_of_kind(0o020000), "is a link or a device"),
    "zip: pipe": (zip_of_kind(0o010000), "is a link or a device"),
    "zip: bomb": (zip_bomb, "promises"),
    "tar: absolute": (tar_with("/etc/passwd"), "has an absolute name"),
    "tar: parent": (tar_with("../x"), "leaves the folder"),
    "tar: parent inside": (tar_with("a/b/../../../x"), "leaves the folder"),
    "tar: symbolic link": (tar_with("x", tarfile.SYMTYPE, "/etc/passwd"), "is a link, a device"),
    "tar: hard link": (tar_with("x", tarfile.LNKTYPE, "/etc/passwd"), "is a link, a device"),
    "tar: link inside": (tar_with("x", tarfile.SYMTYPE, "good.txt"), "is a link, a device"),
    "tar: device": (tar_with("x", tarfile.CHRTYPE), "is a link, a device"),
    "tar: block device": (tar_with("x", tarfile.BLKTYPE), "is a link, a device"),
    "tar: pipe": (tar_with("x", tarfile.FIFOTYPE), "is a link, a device"),
    "tar: twice": (tar_with("x", count=2), "stands twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_member_refuses_the_whole_archive(tmp_path: Path, name: str) -> None:
    make, sentence = BAD[name]
    if name == "zip: twice":
        with pytest.warns(UserWarning, match="Duplicate name"):
            path = make(tmp_path)
    else:
        path = make(tmp_path)
    with pytest.raises(DataError, match=sentence) as error:
        archives.members(str(path))
    assert path.name in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(DataError, match="more than 2 members"):
        archives.members(str(pack(tmp_path / "many.tar", FILES)))


def test_a_tar_that_expands_without_end_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 1_000_000)
    path = pack(tmp_path / "bomb.tar.xz", {"zeros": bytes(30_000_000)})
    with pytest.raises(DataError, match=r"promises|expands to more than"):
        archives.members(str(path))


def test_a_member_that_lies_about_its_size_yields_no_more_than_it_states(tmp_path: Path) -> None:
    path = pack(tmp_path / "lie.zip", {"zeros": bytes(5_000_000)})
    body = bytearray(path.read_bytes())
    struct.pack_into("<I", body, body.rfind(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(body)
    assert [member.bytes for member in archives.members(str(path))] == [1000]
    ((_, found),) = archives.contents(str(path), ["zeros"])
    assert isinstance(found, Exception) or len(found) == 1000


def test_a_damaged_or_encrypted_member_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "files.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in FILES.items():
            archive.writestr(name, body)
    body = bytearray(path.read_bytes())
    body[body.find(b"oneone")] ^= 1
    at = body.rfind(b"PK\x01\x02")  # three.txt, the last one: encrypted, says its flag
    body[at + 8] |= 1
    path.write_bytes(body)
    found = dict(archives.contents(str(path), FILES))
    assert isinstance(found["a/one.txt"], zipfile.BadZipFile)
    assert isinstance(found["three.txt"], RuntimeError)
    assert found["a/b/two.txt"] == b""


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_mutants_give_members_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("mutant")
    path = pack(folder / f"files{suffix}", FILES)
    body = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(body[: data.draw(st.integers(1, len(body)))])
    with contextlib.suppress(DataError):
        for member in archives.members(str(path)):
            for _, found in archives.contents(str(path), [member.name]):
                assert isinstance(found, bytes | Exception)
    assert os.listdir(folder) == [path.name]


# -- single files --------------------------------------------------------------------------------------


def test_a_compressed_file_is_the_stream_of_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    (tmp_path / "x.txt").write_bytes(b"one\ntwo\n")
    for name in ("x.gz", "x.txt"):
        with archives.decompressed(str(tmp_path / name)) as stream:
            assert stream.read() == b"one\ntwo\n"


def test_a_compressed_file_without_end_and_a_damaged_one_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 100_000)
    monkeypatch.setattr(archives, "MOST_RATIO", 20)
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(bytes(20_000_000)))
    with pytest.raises(DataError, match="expands to more than"):
        read_through(path)
    path.write_bytes(gzip.compress(os.urandom(1000))[:-200])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_through(path)


def lines_of(path: Path) -> list[bytes]:
    with archives.decompressed(str(path)) as stream:
        return list(stream)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_lines_of_a_damaged_file_end_in_a_sentence_too(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    text = b"".join(b"%d %x\n" % (i, i**7 + 1) for i in range(20_000))
    path = tmp_path / f"text.{suffix}"
    whole = pack(text)
    path.write_bytes(whole)
    assert b"".join(lines_of(path)) == text
    half = len(whole) // 2
    for damaged in (whole[:half], whole[:half] + bytes(64) + whole[half + 64 :]):
        path.write_bytes(damaged)
        with pytest.raises(
            DataError, match=f"text.{suffix}' cannot be unpacked: .*: it is damaged or cut short"
        ):
            lines_of(path)


def test_lines_are_bounded_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE_BYTES", 100_000)
    monkeypatch.setattr(archives, "MOST_RATIO", 20)
    for name, line in (("one line", bytes(20_000_000)), ("many", 2_000_000 * b"a line\n")):
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(line))
        with pytest.raises(DataError, match="expands to more than 100 times its size"):
            lines_of(path)


def read_through(path: Path) -> None:
    with archives.decompressed(str(path)) as stream:
        while stream.read(10_000):
            pass


def test_real_archives(test_data: Path) -> None:
    counts = {"images_background_small1": 2720, "images_background_small2": 3120, "all_runs": 800}
    for name, count in counts.items():
        found = archives.members(str(test_data / f"omniglot/{name}.zip"))
        assert sum(member.name.endswith(".png") for member in found) == count
