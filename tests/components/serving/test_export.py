"""An exported model says what the family says, in a process where Mozart cannot be imported."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import MANIFEST, read_json, reading
from components.bundle import load_bundle
from components.errors import ConfigError
from components.registry import Version
from components.serving.export import export
from tests.components.publishing import bundle_folder
from tests.components.serving.exporting import answers, compare, elsewhere, families, model_of, questions
from tests.tiny_data import tiny_data


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported form of the published `tiny`, a normal."""
    out = tmp_path_factory.mktemp("export") / "exported"
    folder = bundle_folder()
    export(Version("tiny", 1, folder, folder.name, ("champion",), {}, {}, datetime.now(UTC)), out)
    reading(out)  # every file is as its manifest says; whoever loads it may write bytecode beside the code
    return out


def test_an_exported_model_says_the_same_without_mozart(exported: Path) -> None:
    model = load_bundle(bundle_folder())
    asked = questions(model, read_json(exported / "export.json")["signatures"], tiny_data(model.spec))
    assert set(asked) == {"sample", "log_prob"}
    compare(elsewhere("signatures", [exported.parent], [asked])[0], answers(model, asked))


def test_mlflow_loads_it_as_a_pyfunc_without_mozart(exported: Path) -> None:
    model = load_bundle(bundle_folder())
    asked = questions(model, read_json(exported / "export.json")["signatures"], tiny_data(model.spec))
    compare(elsewhere("pyfunc", [exported.parent], [asked])[0], answers(model, asked))


def test_it_holds_no_pickle_and_says_what_it_is(exported: Path) -> None:
    said = read_json(exported / MANIFEST)
    assert not [name for name in said["files"] if Path(name).suffix in (".pkl", ".pickle", ".h5", ".keras")]
    facts = read_json(exported / "export.json")
    assert (facts["name"], facts["version"], facts["bundle"]) == ("tiny", 1, bundle_folder().name)
    assert facts["signatures"]["sample"]["inputs"] == {
        "count": {"dtype": "int32", "shape": []},
        "seed": {"dtype": "int32", "shape": []},
    }
    assert facts["left_out"] == {}


def test_nothing_is_overwritten(exported: Path) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        export(Version("tiny", 1, bundle_folder(), "", (), {}, {}, datetime.now(UTC)), exported)


FAST = ("naive_bayes-TestNaiveBayes", "dcgan-TestContract")


@pytest.mark.parametrize(
    "names", [FAST, pytest.param(tuple(families()), marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_every_family_says_the_same_without_mozart(names: tuple[str, ...], tmp_path: Path) -> None:
    from components.serving.saved_model import save

    folders, asked, own = [], [], []
    for name in names:
        battery = families()[name]
        model = model_of(battery)
        folders.append(tmp_path / name)
        told: dict[str, Any] = save(model, folders[-1] / "exported" / "saved_model")
        asked.append(questions(model, told["signatures"], battery.data(battery.spec)))
        own.append(answers(model, asked[-1]))
        assert ("log_prob" in asked[-1]) == (model.likelihood != "none"), (name, told["left_out"])
        assert set(told["left_out"]) <= {"forecast", "translate", "complete", "predict_rating", "tag"}
        assert len(np.unique(np.asarray(own[-1]["sample"][0]))) > 1
    for name, found, expected in zip(names, elsewhere("signatures", folders, asked), own, strict=True):
        try:
            compare(found, expected)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
