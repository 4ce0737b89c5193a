"""Pull: a published bundle as a folder of one's own, checked byte by byte and signed by a known key."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from components.artifacts import explain_os_error
from components.bundle import check_bundle
from components.errors import ConfigError, IntegrityError
from components.registry import Version
from components.signing import own_public_key, verify


def trusted_key(home: Path, given: Path | None) -> Path:
    """The public key that signatures are held against: the given one, else the home's own.

    Raises:
        ConfigError: there is neither.
    """
    key = given or own_public_key(home)
    if key is None:
        raise ConfigError(
            f"no key is known in {home}: name the publisher's public key (`mozart key` there) with --key"
        )
    return key


def pull(version: Version, out: Path, key: Path) -> str:
    """Copies a version's bundle to the folder `out`, after every SHA-256 and the signature agreed.

    Written beside and renamed: `out` is whole or not there. Returns the fingerprint of the key that signed.

    Raises:
        ConfigError: `out` is there already, or `key` is no public key.
        IntegrityError: a file is missing, added or changed, the signature is missing, does not fit, or is of
            an unknown key, or the bundle is of another model; each by name.
        ResourceError: `out` cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} is there already: name a folder that is not")
    check_published(version, key)
    temporary = out.parent / f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        for file in sorted(version.bundle_path.iterdir()):
            shutil.copyfile(file, temporary / file.name)
        check_bundle(temporary, version.digest)  # what was copied, whatever happened to the source meanwhile
        signer = verify(temporary, key)
        os.rename(temporary, out)
    except OSError as error:
        raise explain_os_error(error, out) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return signer


def check_published(version: Version, key: Path) -> None:
    """The version's bundle is the one that was published under this name and signed by `key`. Raises as `pull`."""
    manifest = check_bundle(version.bundle_path, version.digest)
    if manifest.get("name") != version.name:
        raise IntegrityError(
            f"{version.bundle_path} was published as '{manifest.get('name')}', and the registry calls it "
            f"'{version.name}'"
        )
    verify(version.bundle_path, key)
