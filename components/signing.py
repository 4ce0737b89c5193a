"""Signatures of bundles: who published what, checked without a network.

A home has one key, made when it first publishes. `model-signing` signs the bundle's folder (every file
and its SHA-256) into `model.sig`, which anybody can check with that tool too. A signature says "the key X
signed this folder"; whose key X is, a person says, by handing its public half on.

    <home>/keys/mozart.key    the private half, for its owner's eyes only (0600)
    <home>/keys/mozart.pub    the public half
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from components.artifacts import explain_os_error
from components.errors import ConfigError, IntegrityError

SIGNATURE = "model.sig"
PRIVATE, PUBLIC = "mozart.key", "mozart.pub"


def public_key(home: Path) -> Path:
    """The public half of the home's key, which is made if there is none; any number may ask at once.

    Raises:
        ConfigError: the private half is not a key on the curve P-256.
        ResourceError: the folder cannot be written.
    """
    folder = home / "keys"
    private, public = folder / PRIVATE, folder / PUBLIC
    try:
        if not private.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_once(private, _new_private_key(), 0o600)
        if not public.exists():
            _write_once(public, _public_half(private), 0o644)
    except OSError as error:
        raise explain_os_error(error, folder) from error
    return public


def own_public_key(home: Path) -> Path | None:
    """The public half of the home's key, or None where nobody has published yet."""
    public = home / "keys" / PUBLIC
    return public if public.exists() else None


def fingerprint(key: Path) -> str:
    """The 64 hex digits by which a signature names its key: SHA-256 of the public half as PEM.

    Raises:
        ConfigError: the file is no public key on a curve that can be used, or cannot be read.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        loaded = serialization.load_pem_public_key(key.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key} cannot be read as a public key in PEM form: {error}") from error
    if not isinstance(loaded, ec.EllipticCurvePublicKey):
        raise ConfigError(f"{key} is no elliptic-curve key: `mozart key` shows the one to hand on")
    return hashlib.sha256(_as_pem(loaded)).hexdigest()


def sign(folder: Path, home: Path) -> None:
    """Signs a bundle with the home's key, unless it is signed already. Two at once leave one signature.

    Raises:
        ConfigError, ResourceError: see `public_key`.
    """
    if (folder / SIGNATURE).exists():
        return
    from model_signing.signing import Config

    public_key(home)
    beside = folder.parent / f".{os.getpid()}.{secrets.token_hex(4)}.sig.tmp"
    try:
        signer = Config().set_hashing_config(_hashing(folder))
        signer.use_elliptic_key_signer(private_key=home / "keys" / PRIVATE).sign(folder, beside)
        os.replace(beside, folder / SIGNATURE)
    except OSError as error:
        raise explain_os_error(error, folder) from error
    finally:
        beside.unlink(missing_ok=True)


def verify(folder: Path, key: Path) -> str:
    """Checks that `key` signed this folder as it is; returns the key's fingerprint. Needs no network.

    Raises:
        ConfigError: `key` is no public key.
        IntegrityError: no signature, one by another key, or a folder that is not the one that was signed.
    """
    trusted = fingerprint(key)
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise IntegrityError(f"{signature} is missing: nobody has signed this bundle; publish it again")
    signer = _signer(signature)
    if signer != trusted:
        raise IntegrityError(
            f"{signature} was made by the key {signer[:16]}, which is unknown here (trusted: {trusted[:16]}): "
            "ask its publisher for the public key (`mozart key`) and name it with --key"
        )
    from model_signing.verifying import Config

    try:
        checker = Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(_hashing(folder))
        checker.verify(folder, signature)
    except Exception as error:  # the tool raises what its parts raise: ValueError, InvalidSignature, KeyError
        said = str(error) or type(error).__name__
        raise IntegrityError(f"{signature} does not fit the bundle: {said}") from error
    return trusted


def _signer(signature: Path) -> str:
    """The fingerprint of the key that a signature names."""
    try:
        facts: dict[str, Any] = json.loads(signature.read_text("utf-8"))
        named = str(facts["verificationMaterial"]["publicKey"]["hint"])
        base64.b64decode(facts["dsseEnvelope"]["signatures"][0]["sig"], validate=True)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise IntegrityError(f"{signature} cannot be read as a signature: {error!r}") from error
    return named


def _hashing(folder: Path) -> Any:
    """Every file counts, those of git too; the signature cannot sign itself."""
    from model_signing.hashing import Config

    return Config().set_ignored_paths(paths=[folder / SIGNATURE], ignore_git_paths=False)


def _new_private_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_half(private: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{private} cannot be read as a private key in PEM form: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{private} is no elliptic-curve key: move it away, and a new one is made")
    return _as_pem(key.public_key())


def _as_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    pem: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def _write_once(file: Path, body: bytes, mode: int) -> None:
    """Writes beside, syncs and links: the first of several wins, and nobody sees half a key."""
    beside = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(body)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(beside, file)
    except FileExistsError:
        pass
    finally:
        beside.unlink(missing_ok=True)
