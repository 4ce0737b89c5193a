"""Registering and finding versions: with MLflow alone, by a consumer, from a server, under Kubeflow."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from components.artifacts import read_json
from components.errors import IntegrityError, RegistryError
from components.registry import Registry, load
from tests.components.publishing import other_bundle
from tests.components.registry.registrations import register


def test_mlflow_alone_finds_all_of_it(ready: Path, bundles: list[Path]) -> None:
    from mlflow.tracking import MlflowClient

    registry = Registry(ready)
    version = register(registry, "alone", bundles[0])
    assert registry.promote(version, None, "it is good")
    client = MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
    found = client.get_model_version_by_alias("alone", "champion")
    assert found.source == bundles[0].as_uri()
    assert found.description == "normal: classifier_fid 8.0 on 64 validation examples"
    assert found.tags == {
        "mozart.bundle": bundles[0].name,
        "mozart.model_digest": read_json(bundles[0] / "model.json")["digest"],
        "mozart.family": "normal",
        "mozart.metric": "classifier_fid",
        "mozart.data_fingerprint": "0123456789abcdef",
        "mozart.key": "run-1",
    }
    run = client.get_run(found.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"validation.classifier_fid": 8.0, "test.classifier_fid": 8.1}
    assert run.data.params["data.source"] == "digits"
    assert run.data.params["train.epochs"] == "1"


def test_resolving_by_alias_and_number(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    first, second = (register(registry, "resolved", bundle) for bundle in bundles[:2])
    registry.promote(second, None, "it is better")
    assert registry.resolve("resolved") == registry.resolve("resolved@champion")
    assert registry.resolve("resolved").version == 2
    assert registry.resolve("resolved").aliases == ("champion",)
    assert registry.resolve("resolved:1") == first
    listed = {version.version: version for version in registry.models() if version.name == "resolved"}
    assert listed[1] == first
    assert listed[2] == registry.resolve("resolved")
    with pytest.raises(RegistryError, match="did you mean 'resolved'"):
        registry.resolve("resolve")
    with pytest.raises(RegistryError, match="no version 9"):
        registry.resolve("resolved:9")
    with pytest.raises(RegistryError, match="alias 'best'"):
        registry.resolve("resolved@best")


def test_a_consumer_loads_and_samples(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    registry.promote(register(registry, "consumed", bundles[0]), None, "it is good")
    assert load("consumed@champion", home=ready).sample(3, seed=7).shape == (3, 2, 2, 1)


def test_the_same_model_stays_the_version_it_is(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    once, again = (register(registry, "twice", bundles[0], key) for key in ("run-1", "run-2"))
    assert once == again
    assert register(registry, "twice-other", bundles[0]).version == 1


def test_a_damaged_bundle_is_not_registered(tmp_path: Path, ready: Path) -> None:
    bundle = other_bundle(tmp_path, 6)
    (bundle / "card.md").write_text("")
    registry = Registry(ready)
    with pytest.raises(IntegrityError, match=r"card\.md"):
        register(registry, "damaged", bundle)
    assert all(version.name != "damaged" for version in registry.models())


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd",
        "file:///x/../{digest}",
        "file:///a/%2e%2e/{digest}",
        "../{digest}x",
        "",
        "{digest}y",
    ],
)
def test_what_others_registered_is_neither_listed_nor_opened(
    ready: Path, bundles: list[Path], source: str
) -> None:
    from mlflow.tracking import MlflowClient

    registry = Registry(ready)
    client = MlflowClient(tracking_uri=registry.uri, registry_uri=registry.uri)
    name = f"foreign-{random.getrandbits(40):x}"
    client.create_registered_model(name)
    client.create_model_version(name, "file:///elsewhere")
    source = source.format(digest=bundles[0].name)
    client.create_model_version(name, source, tags={"mozart.bundle": bundles[0].name})
    for number in (1, 2):
        with pytest.raises(RegistryError, match="was not published by Mozart"):
            registry.resolve(f"{name}:{number}")
    assert all(version.name != name for version in registry.models())


def test_kubeflow_names_the_experiment_and_the_parent(
    ready: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    uri = Registry(ready).uri
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment("of-kubeflow")
    parent = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    monkeypatch.setenv("MLFLOW_RUN_ID", parent)
    register(Registry(ready), "nested", bundles[0])
    run = client.get_run(client.get_model_version("nested", "1").run_id)
    assert run.info.experiment_id == experiment
    assert run.data.tags["mlflow.parentRunId"] == parent


def test_a_server_stores_the_bundle_and_another_home_fetches_it(
    tmp_path: Path, bundles: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Needs `mlflow server --artifacts-destination ...` of the full package, at MOZART_MLFLOW_URI."""
    if "MOZART_MLFLOW_URI" not in os.environ:
        pytest.skip("MOZART_MLFLOW_URI is not set")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", os.environ["MOZART_MLFLOW_URI"])
    name = f"remote-{random.getrandbits(40):x}"
    here, there = Registry(tmp_path / "here"), Registry(tmp_path / "there")
    assert here.promote(register(here, name, bundles[0]), None, "it is good")
    found = there.resolve(name)
    assert found.bundle_path == there.bundles / bundles[0].name
    assert found.digest == bundles[0].name
    assert load(name, home=there.home).sample(2, seed=1).shape == (2, 2, 2, 1)
    assert not there.promote(register(there, name, bundles[1]), None, "it never saw the first")
    assert [version.aliases for version in here.models() if version.name == name] == [("champion",), ()]
