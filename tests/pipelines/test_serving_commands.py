"""The commands of consumers: what they print, and what they refuse."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.bundle import check_bundle
from components.errors import ConfigError, IntegrityError, RegistryError
from components.signing import fingerprint, public_key
from pipelines.cli import app
from tests.components.serving.serving import registry_with_tiny


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return registry_with_tiny(tmp_path_factory.mktemp("commands")).home


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MOZART_HOME", str(home))


def mozart(*arguments: str) -> str:
    """What the command prints; its error is raised here."""
    return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout


def test_the_key_is_shown_and_handed_on(home: Path, tmp_path: Path) -> None:
    digits = fingerprint(public_key(home))
    assert mozart("key").endswith(f"# SHA-256 {digits}\n")
    assert digits[:16] in mozart("key", "--out", str(tmp_path / "publisher.pub"))
    assert (tmp_path / "publisher.pub").read_bytes() == public_key(home).read_bytes()


def test_a_model_is_pulled_with_the_key_that_signed_it(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "pulled"
    said = mozart("pull", "tiny@champion", str(out))
    assert said == f"tiny version 1 is in {out}, signed by the key {fingerprint(public_key(home))[:16]}.\n"
    digest = next(folder.name for folder in (home / "bundles").iterdir())
    assert check_bundle(out, digest)["name"] == "tiny"
    with pytest.raises(IntegrityError, match="unknown here"):
        mozart("pull", "tiny", str(tmp_path / "other"), "--key", str(public_key(tmp_path / "other-home")))
    with pytest.raises(RegistryError, match="no version 9"):
        mozart("pull", "tiny:9", str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_an_exported_model_is_told_with_what_it_can_do(tmp_path: Path) -> None:
    out = tmp_path / "exported"
    assert mozart("export", "tiny", str(out)) == f"tiny version 1 is in {out}, with sample, log_prob.\n"
    assert json.loads((out / "export.json").read_text())["family"] == "normal"


def test_more_samples_than_a_grid_shows_are_shards(tmp_path: Path) -> None:
    out = tmp_path / "many"
    said = mozart("sample", "tiny", "--count", "2e4", "--seed", "3", "--out", str(out))
    assert said == f"20000 samples of tiny version 1, seed 3: {out}\n"
    assert len(list(out.glob("samples-*-of-00003.npy"))) == 3


def test_a_port_that_is_taken_is_said_before_a_model_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen at 127.0.0.1 port {port}"):
            mozart("serve", "tiny", "--port", str(port))
