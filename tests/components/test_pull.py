"""A pulled bundle is what its publisher signed, to the byte; everything else is refused by name."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import MANIFEST, read_json, sha256_of
from components.bundle import FILES, OPTIONAL, STATISTICS, check_bundle
from components.errors import ConfigError, IntegrityError
from components.pull import pull, trusted_key
from components.registry import Version
from components.signing import SIGNATURE, fingerprint, public_key, sign, verify
from tests.components.publishing import bundle_folder, copy_of_bundle, other_bundle, reseal

PRESENT = FILES - OPTIONAL | {STATISTICS, SIGNATURE}  # in the workshop's bundle, once it is signed


def version_of(bundle: Path) -> Version:
    """What the registry says of a bundle that was published as `tiny`."""
    return Version("tiny", 1, bundle, bundle.name, ("champion",), {}, {}, datetime.now(UTC))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def signed(tmp_path: Path, home: Path) -> Path:
    folder = copy_of_bundle(tmp_path / "bundles")
    sign(folder, home)
    return folder


def test_what_is_pulled_is_what_was_published(signed: Path, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "pulled"
    signer = pull(version_of(signed), out, trusted_key(home, None))
    assert signer == fingerprint(public_key(home))
    assert {file.name for file in out.iterdir()} == PRESENT
    for file in out.iterdir():
        assert file.read_bytes() == (signed / file.name).read_bytes()
    assert list(out.parent.iterdir()) == [out]

    from keras_models.saving import load

    np.testing.assert_array_equal(load(out).sample(3, seed=1), load(bundle_folder()).sample(3, seed=1))


def test_the_key_is_made_once_and_its_private_half_is_its_owner_s(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = {path.read_bytes() for path in pool.map(public_key, [tmp_path] * 24)}
    assert len(made) == 1
    keys = tmp_path / "keys"
    assert {file.name for file in keys.iterdir()} == {"mozart.key", "mozart.pub"}
    assert stat.S_IMODE((keys / "mozart.key").stat().st_mode) == 0o600
    (keys / "mozart.pub").unlink()
    assert public_key(tmp_path).read_bytes() in made


def test_a_bundle_is_signed_once(signed: Path, home: Path, tmp_path: Path) -> None:
    before = (signed / SIGNATURE).read_bytes()
    sign(signed, home)
    sign(signed, tmp_path / "another-home")
    assert (signed / SIGNATURE).read_bytes() == before
    assert check_bundle(signed)["name"] == "tiny"


def test_any_model_signing_tool_can_check_the_signature(signed: Path, home: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "model_signing", "verify", "key", str(signed)]
        + ["--signature", str(signed / SIGNATURE), "--public_key", str(public_key(home))],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", sorted(PRESENT))
def test_every_changed_or_missing_file_is_refused_by_name(
    signed: Path, home: Path, tmp_path: Path, name: str
) -> None:
    out, key = tmp_path / "out", public_key(home)
    content = (signed / name).read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=8):
        flipped = bytearray(content)
        flipped[place] ^= 1
        (signed / name).write_bytes(flipped)
        with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
            pull(version_of(signed), out, key)
    (signed / name).unlink()
    with pytest.raises(IntegrityError, match=f"{name} is missing"):
        pull(version_of(signed), out, key)
    assert not out.exists()


def test_an_extra_file_is_refused_by_name(signed: Path, home: Path, tmp_path: Path) -> None:
    (signed / "model.pkl").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"model\.pkl does not belong"):
        pull(version_of(signed), tmp_path / "out", public_key(home))


def test_a_file_that_the_manifest_does_not_name_is_refused(signed: Path, home: Path, tmp_path: Path) -> None:
    (signed / SIGNATURE).unlink()
    (signed / "statistics.json").rename(tmp_path / "kept")
    older = reseal(signed)
    shutil.move(tmp_path / "kept", older / "statistics.json")
    with pytest.raises(IntegrityError, match=r"statistics\.json is not in the manifest"):
        pull(version_of(older), tmp_path / "out", public_key(home))


def test_a_bundle_that_was_made_anew_is_not_the_signed_one(signed: Path, home: Path, tmp_path: Path) -> None:
    """Who can write everywhere but has not the key: digests agree, the signature does not."""
    other = other_bundle(tmp_path, seed=5)
    shutil.copyfile(signed / SIGNATURE, other / SIGNATURE)
    assert sha256_of(other / MANIFEST) == other.name
    with pytest.raises(IntegrityError, match=r"does not fit the bundle: .*manifest\.json"):
        pull(version_of(other), tmp_path / "out", public_key(home))


def test_another_key_is_unknown_until_it_is_named(signed: Path, home: Path, tmp_path: Path) -> None:
    other = public_key(tmp_path / "consumer")
    with pytest.raises(IntegrityError, match=f"by the key {fingerprint(public_key(home))[:16]}.*unknown"):
        pull(version_of(signed), tmp_path / "out", other)
    handed = tmp_path / "publisher.pub"
    shutil.copyfile(public_key(home), handed)
    pull(version_of(signed), tmp_path / "out", trusted_key(tmp_path / "consumer", handed))


def test_a_bundle_of_another_name_is_refused(signed: Path, home: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="published as 'tiny', and the registry calls it 'large'"):
        pull(replace(version_of(signed), name="large"), tmp_path / "out", public_key(home))


def test_nothing_is_overwritten(signed: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        pull(version_of(signed), tmp_path / "out", public_key(home))


def no_key(file: Path) -> None:
    file.write_text("no key")


def a_private_key(file: Path) -> None:
    public_key(file.parent)
    shutil.copyfile(file.parent / "keys" / "mozart.key", file)


@pytest.mark.parametrize("made", [no_key, a_private_key, lambda file: None])
def test_what_is_no_public_key_is_said_to_be(
    signed: Path, tmp_path: Path, made: Callable[[Path], None]
) -> None:
    made(tmp_path / "odd.pub")
    with pytest.raises(ConfigError, match=r"odd\.pub cannot be read as a public key"):
        verify(signed, tmp_path / "odd.pub")


def test_without_any_key_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no key is known in .*--key"):
        trusted_key(tmp_path, None)


def test_checking_needs_no_network(signed: Path, home: Path, tmp_path: Path) -> None:
    """In a process whose sockets fail, and which knows no proxy."""
    code = (
        "import socket, sys\n"
        "from pathlib import Path\n"
        "def closed(*_, **__): raise OSError('no network here')\n"
        "socket.socket.connect = socket.getaddrinfo = closed\n"
        "from components.signing import verify\n"
        "print(verify(Path(sys.argv[1]), Path(sys.argv[2])))\n"
    )
    checked = subprocess.run(
        [sys.executable, "-c", code, str(signed), str(public_key(home))],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
    )
    assert checked.stdout.strip() == fingerprint(public_key(home)), checked.stderr
    assert read_json(signed / MANIFEST)["kind"] == "bundle"
