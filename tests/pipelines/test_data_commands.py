"""`mozart sources`, `inspect` and `schema`: what a person learns of data before anything is trained."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from components.errors import ConfigError, DataError
from components.home import home
from components.modalities import sources
from components.schema_file import read_schema
from pipelines import cli


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MOZART_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def invoke(*arguments):
    """A command in this process; MozartError comes back as `result.exception`."""
    return CliRunner().invoke(cli.app, list(arguments))


def test_sources_lists_every_scheme():
    result = invoke("sources")
    assert result.exit_code == 0
    for scheme in sources():
        assert f"\n {scheme}" in result.output, scheme


def test_inspect_shows_features_the_verdict_and_the_page():
    result = invoke("inspect", "digits")
    assert result.exit_code == 0
    for said in ("records", "1,425", "brightness", "validation", "nothing wrong", "'8x8x1' 100.0%"):
        assert said in result.output, said
    page = home() / "inspected" / "digits" / "statistics" / "statistics.html"
    assert f"page     {page}" in result.output
    assert page.is_file()


def test_inspect_of_a_recipe_judges_as_its_run_would(small, tmp_path):
    result = invoke("inspect", small, "--out", "here", "--set", "train.batch_size=2000")
    assert result.exit_code == DataError.exit_code
    assert "less-than-a-batch" in result.output
    assert "fewer than one batch of 2000" in result.output
    assert (tmp_path / "here" / "report" / "report.json").is_file()
    assert not (home() / "inspected").exists()


def test_inspect_takes_options_for_a_source():
    assert "'4x4x1' 100.0%" in invoke("inspect", "digits", "--set", "data.read.resize=4").output
    refused = invoke("inspect", "digits", "--set", "data.read.resise=4").exception
    assert isinstance(refused, ConfigError)
    assert "did you mean" in str(refused)
    refused = invoke("inspect", "digits", "--set", "train.epochs=4").exception
    assert "unknown block 'train'" in str(refused)


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("digit", ConfigError, "unknown recipe 'digit'"),
        ("nowhere.yaml", ConfigError, "there is no recipe file"),
        ("picture:here", ConfigError, "unknown source"),
        ("images:nowhere", DataError, "nowhere"),
    ],
)
def test_what_is_neither_a_recipe_nor_a_source(what, kind, said):
    for command in ("inspect", "schema"):
        refused = invoke(command, what).exception
        assert isinstance(refused, kind)
        assert said in str(refused)


def test_a_schema_is_inferred_curated_and_held_against_the_data(small, tmp_path):
    written = invoke("schema", small, "--out", "digits.yaml")
    assert written.exit_code == 0
    assert "data.schema_file=digits.yaml" in written.output
    file = tmp_path / "digits.yaml"
    assert read_schema(file).features["class"].values == tuple("0123456789")
    assert [path.name for path in home().iterdir()] == []  # nothing is left over
    assert invoke("inspect", small, "--set", "data.schema_file=digits.yaml").exit_code == 0
    file.write_text(file.read_text("utf-8").replace("'9'", "'ten'"), "utf-8")
    result = invoke("inspect", small, "--set", "data.schema_file=digits.yaml")
    assert result.exit_code == DataError.exit_code
    assert "unknown-value" in result.output
    refused = invoke("schema", small, "--out", "digits.yaml").exception
    assert "perhaps curated" in str(refused)
    assert "ten" in file.read_text("utf-8")
