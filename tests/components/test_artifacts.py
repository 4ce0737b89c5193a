"""Artifacts: what was written is what is read, or the changed file is named; and all or nothing is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.artifacts import MANIFEST, as_os_error, fingerprint_of, reading, write_json, writing
from components.errors import IntegrityError, ResourceError

FILES = {
    "a.txt": b"some text",
    "deep/b.bin": bytes(range(40)),
    "deep/empty": b"",
    "deep/manifest.json": b"{}",
}
ROOT = Path(__file__).parents[2]


def write(folder: Path) -> Path:
    with writing(folder, "test") as (temporary, manifest):
        (temporary / "deep").mkdir()
        for name, body in FILES.items():
            (temporary / name).write_bytes(body)
        manifest["counts"] = {"train": 3}
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("artifacts") / "sound")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def test_a_sound_folder_is_read(sound: Path) -> None:
    manifest = reading(sound)
    assert manifest["step"] == "test"
    assert manifest["counts"] == {"train": 3}
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(body) for name, body in FILES.items()
    }


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_found_with_the_file_s_name(sound: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([MANIFEST, *(name for name, body in FILES.items() if body)]))
    file = sound / name
    body = file.read_bytes()
    at = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    if name == MANIFEST and means(changed) == means(body):
        return  # one white space for another
    try:
        file.write_bytes(changed)
        with pytest.raises(IntegrityError) as error:
            reading(sound)
    finally:
        file.write_bytes(body)
    # a damaged manifest is blamed itself, or the file that it now describes wrongly
    assert str(file) in str(error.value) or (name == MANIFEST and str(sound) in str(error.value))


def means(text: bytes | bytearray) -> object:
    try:
        return json.loads(text.decode())
    except ValueError:
        return None


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(IntegrityError, match=f"{name} is missing"):
        reading(folder)


@pytest.mark.parametrize("name", ["new.txt", "deep/new.txt", "a.txt.bak"])
def test_an_added_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(IntegrityError, match=f"{name} is not in the manifest"):
        reading(folder)


def test_a_symbolic_link_is_no_file_even_to_the_same_bytes(folder: Path, sound: Path) -> None:
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to(sound / "a.txt")
    with pytest.raises(IntegrityError, match=r"a\.txt"):
        reading(folder)


def test_an_added_link_to_a_folder_is_named(folder: Path, sound: Path) -> None:
    (folder / "elsewhere").symlink_to(sound)
    with pytest.raises(IntegrityError, match="elsewhere is not in the manifest"):
        reading(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"files": 3}', '{"files": {"a": {}}}', "\ufffe"])
def test_what_is_no_manifest_is_said_so(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, "utf-8")
    with pytest.raises(IntegrityError, match="manifest"):
        reading(folder)


def test_a_folder_without_a_manifest_was_not_finished(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="did not finish; run again"):
        reading(tmp_path)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing_and_keeps_the_former_folder(
    folder: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with writing(folder, "again") as (temporary, _):
            (temporary / "half").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert reading(folder)["step"] == "test"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_second_writing_replaces_the_first_and_sweeps_what_a_killed_one_left(folder: Path) -> None:
    left = folder.parent / f".{folder.name}.1.tmp"
    left.mkdir()
    (left / "half").write_text("half")
    with writing(folder, "again") as (temporary, _):
        (temporary / "new").write_text("new")
    assert set(reading(folder)["files"]) == {"new"}
    assert list(folder.parent.iterdir()) == [folder]


def test_a_full_disk_is_said_with_the_path_and_the_former_folder_stays(tiny_disk: Path) -> None:
    out = write(tiny_disk / "out")

    def fill() -> None:
        with writing(out, "again") as (temporary, _):
            (temporary / "big").write_bytes(bytes(1_000_000))

    with pytest.raises(ResourceError, match=f"the disk is full while writing {out} .*make room"):
        fill()
    assert reading(out)["step"] == "test"
    assert list(tiny_disk.iterdir()) == [out]


def test_a_full_disk_inside_a_beam_pipeline_is_the_same_error(tiny_disk: Path) -> None:
    from components.ingest import ingest
    from components.settings import DataSettings

    out = tiny_disk / "records"
    with pytest.raises(ResourceError, match=f"the disk is full while writing {out}"):
        ingest(DataSettings(source="digits"), out)
    assert list(tiny_disk.iterdir()) == []


def test_a_file_size_limit_is_said_with_the_path(tmp_path: Path) -> None:
    code = (
        "import pathlib, resource\n"
        "from components.artifacts import writing\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"with writing(pathlib.Path({str(tmp_path / 'out')!r}), 'test') as (folder, _):\n"
        "    (folder / 'big').write_bytes(bytes(5000))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"ResourceError: cannot write {tmp_path / 'out'}: File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_known_by_the_system_s_words_whoever_raises_it() -> None:
    said = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    found = as_os_error(said)
    assert found is not None
    assert found.errno == 28
    assert as_os_error(RuntimeError("some other trouble")) is None


def test_json_refuses_numbers_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})


@given(st.dictionaries(st.text(), st.integers()))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(values: dict[str, int]) -> None:
    turned = dict(reversed(values.items()))
    assert fingerprint_of(values) == fingerprint_of(turned)
    assert fingerprint_of(values) != fingerprint_of({**values, "one more": 0, "and this": None})
