"""`mozart forecast`: what it writes, and what a person is told."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from components import registry
from components.artifacts import write_json
from components.errors import ConfigError, DataError
from keras_models import build, describe, saving
from keras_models.spec import Spec
from pipelines import task_commands

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(task_commands.forecast)
ENCODING = {
    "modality": "series",
    "channels": ["value"],
    "covariates": {"names": []},
    "log": True,
    "mean": [5.0],
    "std": [0.5],
    "series": ["walk.csv/sales"],
}


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """A random walk of logarithms, as if it had been published; and the CSV that it learnt from."""
    model = build("arima", Spec(kind="series", shape=(9, 1)), describe("arima").config(order=(0, 1, 0)))
    model.set_coefficients(variance=0.01)
    saving.save(model, tmp_path)
    file = tmp_path / "walk.csv"
    file.write_text("month,sales\n" + "".join(f"2020-{i:02d},{100 + i}\n" for i in range(1, 13)), "utf-8")
    write_json(tmp_path / "encoding.json", ENCODING)
    recipe = {"data": {"source": f"series:{file}", "read": {"test_steps": 2, "context": 4}}}
    write_json(tmp_path / "provenance.json", {"recipe": recipe})
    version = SimpleNamespace(name="walk", version=1, bundle_path=tmp_path)
    monkeypatch.setattr(registry.Registry, "resolve", lambda self, name: version)
    monkeypatch.setattr(
        "components.bundle.load_bundle", saving.load
    )  # not sealed: publishing has its own tests
    monkeypatch.chdir(tmp_path)
    return file


def invoke(*arguments):
    """The command in this process; MozartError comes back as `result.exception`."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def rows_of(folder):
    return list(csv.DictReader((folder / "forecast.csv").read_text("utf-8").splitlines()))


def test_it_goes_on_from_the_data_it_learnt_from(walk, tmp_path):
    result = invoke("walk", "--steps", 3, "--out", "next")
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "3 steps of walk.csv/sales by walk version 1" in result.output
    assert f"picture  {tmp_path / 'next' / 'forecast.png'}" in result.output
    rows = rows_of(tmp_path / "next")
    assert [row["time"] for row in rows] == ["2021-01-01", "2021-02-01", "2021-03-01"]
    # the deviation of a logarithm h steps ahead is 0.5 * 0.1 * sqrt(h), and the last value is 112
    deviation = 0.05 * np.sqrt([1, 2, 3])
    np.testing.assert_allclose([float(r["mean"]) for r in rows], 112 * np.exp(deviation**2 / 2), rtol=1e-6)
    np.testing.assert_allclose(
        [float(r["high95"]) for r in rows], 112 * np.exp(1.959964 * deviation), rtol=1e-6
    )
    np.testing.assert_allclose(
        [float(r["low80"]) for r in rows], 112 * np.exp(-1.281552 * deviation), rtol=1e-6
    )


def test_it_goes_on_from_another_history(walk, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("month,sales\n2024-11,50\n2024-12,60\n", "utf-8")
    result = invoke("walk", "--history", other, "--steps", 1, "--out", "next")
    assert result.exit_code == 0, result.output + repr(result.exception)
    (row,) = rows_of(tmp_path / "next")
    assert (row["series"], row["time"]) == ("other.csv/sales", "2025-01-01")
    assert float(row["low95"]) < 60 < float(row["high95"])


def test_what_cannot_be_forecast_is_one_sentence(walk, tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("month,sales\n2024-12,60\n", "utf-8")
    short = invoke("walk", "--history", one)
    assert isinstance(short.exception, DataError)
    assert "series 'one.csv/sales': a history of 1 steps is too short: this model needs 2" in str(
        short.exception
    )
    missing = invoke("walk", "--history", tmp_path / "nothing.csv")
    assert isinstance(missing.exception, DataError)
    assert "nothing.csv" in str(missing.exception)
    write_json(tmp_path / "provenance.json", {"recipe": {"data": {"source": "digits"}}})
    digits = invoke("walk")
    assert isinstance(digits.exception, ConfigError)
    assert "no series" in str(digits.exception)
