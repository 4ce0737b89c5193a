"""A training begins where the champion ended, or says why it does not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.artifacts import MANIFEST, read_json, seal, sha256_of, write_json
from components.bundle import _card
from components.errors import ConfigError, IntegrityError
from components.examples import Examples
from components.line import fine_tuned
from components.registry import Registry
from components.settings import DataSettings, FloorSettings, ModelSettings, TrainSettings
from components.train import make, read_history, train
from components.warm_start import OPTIMIZERS, Start, fine_tune, load_weights, warm_start
from tests.components.publishing import evaluation_of
from tests.components.training_examples import image_examples

VAE = ModelSettings(family="vae", config={"latent": 2, "hidden": [8]})
GAN = ModelSettings(family="dcgan", config={"latent": 2, "width": 4})
ONCE = TrainSettings(epochs=1, batch_size=4, warm_start="champion")
RECIPE: dict[str, Any] = {"name": "tiny"}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_examples(tmp_path_factory.mktemp("examples") / "examples", "none")


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_examples(tmp_path_factory.mktemp("binary") / "examples", "threshold")


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Path:
    """A bundle of a variational autoencoder that has learnt for an epoch."""
    folder = tmp_path_factory.mktemp("champion")
    train(binary, folder / "model", VAE, ONCE, RECIPE)
    return bundle_of(folder / "model", folder)


def bundle_of(model: Path, out: Path) -> Path:
    """A bundle of the trained `model`, whose golden samples nobody draws."""
    folder = Path(
        shutil.copytree(
            model, out / "bundle", ignore=shutil.ignore_patterns("tensorboard", "history.csv", MANIFEST)
        )
    )
    write_json(folder / "evaluation.json", evaluation_of(model))
    write_json(
        folder / "golden.json",
        {"seed": 1, "n": 1, "sha256": "00", "environment": {"tensorflow": "2"}},
    )
    (folder / "card.md").write_text("a card")
    seal(folder, {"schema": 1, "kind": "bundle", "name": "tiny"})
    return folder.rename(out / sha256_of(folder / MANIFEST))


def state(model: Any) -> list[np.ndarray]:
    """All weights, and all variables of all optimizers."""
    variables = [*model.variables, *(v for one in model.optimizers() for v in one.variables)]
    return [variable.numpy() for variable in variables]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_two_optimizers_and_all_weights_are_those_of_the_champion(examples: Path, tmp_path: Path) -> None:
    data = Examples(examples)
    train(examples, tmp_path / "model", GAN, ONCE, RECIPE)
    bundle = bundle_of(tmp_path / "model", tmp_path)
    first, second = make(GAN, data, seed=1), make(GAN, data, seed=2)
    assert not same(state(first), state(second))
    told = [warm_start(model, data.encoding, bundle, "tiny:1") for model in (first, second)]
    assert told == [Start("tiny:1", weights=True, optimizers=True)] * 2
    assert same(state(first), state(second))
    assert max(float(np.max(np.abs(moment))) for moment in state(first)[-4:]) > 0, "Adam's moments are there"


def test_a_retraining_begins_lower_than_a_training_and_both_are_on_record(
    binary: Path, champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Found:
        bundle_path = champion

    monkeypatch.setattr(Registry, "resolve", lambda self, reference: Found)
    train(binary, tmp_path / "cold", VAE, ONCE, RECIPE)
    train(binary, tmp_path / "warm", VAE, ONCE, RECIPE, begin="tiny:1")
    train(binary, tmp_path / "plain", VAE, ONCE.model_copy(update={"warm_start": "none"}), RECIPE)
    cold, warm = (read_history(tmp_path / name / "history.csv")[0]["loss"] for name in ("cold", "warm"))
    assert warm < cold
    said = [
        (read_json(tmp_path / name / "provenance.json")["start"] or {}).get("said")
        for name in ("cold", "warm", "plain")
    ]
    assert said == [
        "cold start: there is no champion yet",
        "warm start from tiny:1, weights and optimizers",
        None,
    ]
    assert [(tmp_path / name / OPTIMIZERS).is_file() for name in ("cold", "warm", "plain")] == [
        True,
        True,
        False,
    ]
    bundle = bundle_of(tmp_path / "warm", tmp_path)
    assert "| training | warm start from tiny:1, weights and optimizers |" in _card(bundle, "tiny")


@pytest.mark.parametrize(
    ("family", "config", "encoding", "reason"),
    [
        ("dcgan", {}, {}, "the champion is a vae and the recipe asks for a dcgan"),
        ("vae", {"latent": 3, "hidden": [8]}, {}, "the config differs from the champion's in latent (2 before, 3"),
        ("vae", {"latent": 2, "hidden": [8]}, {"classes": ["a"]}, "encoded in another way than the champion's (cl"),
    ],
)  # fmt: skip
def test_what_does_not_agree_starts_cold_with_a_reason(
    binary: Path, champion: Path, family: str, config: dict[str, Any], encoding: dict[str, Any], reason: str
) -> None:
    data = Examples(binary)
    model = make(ModelSettings(family=family, config=config), data, seed=5)
    before = state(model)
    start = warm_start(model, {**data.encoding, **encoding}, champion, "tiny:1")
    assert (start.weights, start.optimizers) == (False, False)
    assert reason in start.reason
    assert start.sentence().startswith("cold start: ")
    assert same(state(model), before)


def test_a_family_that_solves_for_its_weights_starts_cold(binary: Path, tmp_path: Path) -> None:
    mixture = ModelSettings(family="mixture", config={"components": 2})
    train(binary, tmp_path / "model", mixture, ONCE, RECIPE)
    assert not (tmp_path / "model" / OPTIMIZERS).exists()
    model = make(mixture, Examples(binary), seed=0)
    start = warm_start(model, Examples(binary).encoding, bundle_of(tmp_path / "model", tmp_path), "tiny:1")
    assert "no optimizer and solves for its weights anew" in start.reason
    assert float(model.passes) == 0


def test_without_the_optimizers_state_the_weights_alone_are_taken(
    binary: Path, champion: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(champion, tmp_path / "copy"))
    (copy / OPTIMIZERS).unlink()
    seal(copy, {"schema": 1, "kind": "bundle", "name": "tiny"})
    copy = copy.rename(tmp_path / sha256_of(copy / MANIFEST))
    model = make(VAE, Examples(binary), seed=5)
    start = warm_start(model, Examples(binary).encoding, copy, "tiny:1")
    assert start == Start("tiny:1", weights=True, reason="tiny:1 was published without its optimizers' state")
    assert int(model.optimizers()[0].iterations) == 0


def test_weights_of_other_shapes_and_damaged_ones_are_refused_and_change_nothing(
    binary: Path, champion: Path, tmp_path: Path
) -> None:
    other = make(VAE.model_copy(update={"config": {"latent": 3, "hidden": [8]}}), Examples(binary), seed=5)
    before = state(other)
    with pytest.raises(ConfigError, match=r"do not fit: '.*' is float32\(.*\), and the published one is"):
        load_weights(other, champion)
    assert same(state(other), before)
    damaged = Path(shutil.copytree(champion, tmp_path / champion.name))
    (damaged / OPTIMIZERS).write_bytes(b"x" * (damaged / OPTIMIZERS).stat().st_size)
    with pytest.raises(IntegrityError, match=OPTIMIZERS):
        load_weights(make(VAE, Examples(binary), seed=5), damaged)


@pytest.mark.parametrize("begin", [{"warm_start": "champion"}, {"fine_tune": "tiny:1"}])
def test_a_floor_does_not_start_from_a_published_model(begin: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a floor is trained anew"):
        FloorSettings.parse({"family": "normal", "train": begin})


# -- fine-tuning ---------------------------------------------------------------------------------------


def test_a_fine_tuning_takes_the_weights_and_another_step_size(binary: Path, champion: Path) -> None:
    slower = VAE.model_copy(update={"config": {**VAE.config, "learning_rate": 1e-5}})
    model = make(slower, Examples(binary), seed=5)
    start = fine_tune(model, champion, "tiny:1")
    assert (start.source, start.weights, start.optimizers) == ("tiny:1", True, False)
    assert start.sentence().startswith("warm start from tiny:1, the weights only: ")
    published = make(VAE, Examples(binary), seed=6)
    load_weights(published, champion)
    assert same([v.numpy() for v in model.variables], [v.numpy() for v in published.variables])
    assert int(model.optimizers()[0].iterations) == 0
    assert float(model.optimizers()[0].learning_rate) == pytest.approx(1e-5)


def test_what_cannot_be_fine_tuned_is_refused(binary: Path, champion: Path, tmp_path: Path) -> None:
    other = make(VAE.model_copy(update={"config": {"latent": 3, "hidden": [8]}}), Examples(binary), seed=5)
    with pytest.raises(ConfigError, match=r"tiny:1 has another shape, set model\.config as it has"):
        fine_tune(other, champion, "tiny:1")
    mixture = make(ModelSettings(family="mixture"), Examples(binary), seed=0)
    with pytest.raises(ConfigError, match="family 'mixture' has no optimizer and solves"):
        fine_tune(mixture, champion, "tiny:1")
    with pytest.raises(ValueError, match="fine_tune and warm_start both say"):
        TrainSettings.parse({"warm_start": "champion", "fine_tune": "tiny:1"})


@pytest.mark.parametrize(
    ("data", "model", "sentence"),
    [
        ({"source": "digits"}, {"family": "dcgan"}, "tiny:1 is of family 'vae', and the recipe's is 'dcgan'"),
        ({"source": "text:a.txt"}, {"family": "vae"}, "tiny:1 learnt images, and data.source gives text"),
        (
            {"source": "digits", "encode": {"binarise": "none"}},
            {"family": "vae"},
            "data.encode.binarise 'threshold', and the recipe 'none': leave it out",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_what_it_fine_tunes_is_told_before_the_first_step(
    champion: Path, monkeypatch: pytest.MonkeyPatch, data: Any, model: Any, sentence: str
) -> None:
    found = SimpleNamespace(name="tiny", version=1, bundle_path=champion)
    monkeypatch.setattr(Registry, "resolve", lambda self, reference: found)
    asked = TrainSettings(fine_tune="tiny")
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        fine_tuned(Path(), DataSettings.parse(data), ModelSettings.parse(model), asked)
    fits = DataSettings.parse({"source": "digits", "encode": {"binarise": "threshold"}})
    assert fine_tuned(Path(), fits, VAE, asked) == "tiny:1"
    assert fine_tuned(Path(), fits, VAE, TrainSettings()) == ""
