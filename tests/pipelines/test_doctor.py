"""`mozart doctor`: what is wrong is named, with the exit code that a run would give."""

from __future__ import annotations

from importlib import metadata

import pytest
from typer.testing import CliRunner

from components.errors import RegistryError, ResourceError
from pipelines import cli, doctor


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    """A home of its own, and a screen wide enough that no table breaks its words."""
    monkeypatch.setenv("MOZART_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def invoke(*arguments):
    """A command in this process; MozartError comes back as `result.exception`."""
    return CliRunner().invoke(cli.app, list(arguments))


def test_doctor_finds_this_machine_fit():
    result = invoke("doctor", "--quick")
    assert result.exit_code == 0, result.output
    for word in ("python", "tensorflow", "kfp", "home", "registry", "local runs"):
        assert word in result.output
    assert "devices" not in result.output


def test_doctor_asks_tensorflow_for_devices():
    finding = doctor._devices()
    assert finding.state in ("ok", "note")
    assert "GPU" in finding.said


@pytest.mark.parametrize(
    ("version", "refused"), [("2.16.1", True), ("1.8.22", True), ("2.17.0", False), ("2.100.0rc1", False)]
)
def test_doctor_refuses_a_kfp_that_ignores_conditions(monkeypatch, version, refused):
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version if name == "kfp" else real(name))
    if refused:
        with pytest.raises(ResourceError, match="too old"):
            doctor.require_kfp()
        result = invoke("doctor", "--quick")
        assert isinstance(result.exception, ResourceError)
        assert result.exception.exit_code == 4
        assert f"kfp {version} is too old" in str(result.exception)
    else:
        assert doctor.require_kfp() == version


def test_doctor_names_a_missing_package(monkeypatch):
    real = metadata.version

    def without_safetensors(name):
        if name == "safetensors":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", without_safetensors)
    assert "safetensors is missing: run `uv sync`" in invoke("doctor", "--quick").output


def test_doctor_says_that_the_home_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MOZART_HOME", str(tmp_path / "file" / "home"))
    result = invoke("doctor", "--quick")
    assert isinstance(result.exception, ResourceError)
    assert "cannot be written" in str(result.exception)
    assert "registry" not in result.output


def test_doctor_wants_free_disk(tmp_path, monkeypatch):
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=10_000_000)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    assert "at least 1 GB are needed" in doctor._disk(tmp_path / "new").said


def test_doctor_says_that_the_registry_cannot_be_reached(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = invoke("doctor", "--quick")
    assert isinstance(result.exception, RegistryError)
    assert result.exception.exit_code == 5
