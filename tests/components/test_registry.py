"""The registry with the real thing: MLflow on sqlite, and real processes that get in each other's way."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import string
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import read_json
from components.errors import ConfigError, IntegrityError, RegistryError
from components.promotions import Promotions
from components.registry import Registry, Version, check_name, load
from tests.components.publishing import other_bundle, said, start

PUBLISH = """
import json, sys
from pathlib import Path
from components.artifacts import read_json
from components.registry import Registry
home, bundle = Path(sys.argv[1]), Path(sys.argv[2])
registry = Registry(home)
version = registry.register("tiny", bundle, read_json(bundle / "evaluation.json"),
                            read_json(bundle / "provenance.json"), key=sys.argv[3])
print(json.dumps([version.version, registry.promote(version, None, "the first")]))
"""
OPEN = """
import json, sys
from pathlib import Path
from components.registry import Registry
registry = Registry(Path(sys.argv[1]))
registry.prepare()
print(json.dumps([len(registry.models()), registry.champion("tiny")]))
"""


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [other_bundle(tmp_path_factory.mktemp("bundles"), seed) for seed in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database exists; tests take names of their own in it."""
    home = tmp_path_factory.mktemp("home") / "with space and 100%"
    Registry(home).prepare()
    return home


def register(registry: Registry, name: str, bundle: Path, key: str = "run-1") -> Version:
    evaluation, provenance = (read_json(bundle / f"{file}.json") for file in ("evaluation", "provenance"))
    return registry.register(name, bundle, evaluation, provenance, key)


# -- names ------------------------------------------------------------------------------------------

RULE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


@given(st.text(max_size=70) | st.text(string.ascii_lowercase + "0.-_", max_size=70))
def test_a_name_is_accepted_exactly_where_the_rule_says_so(name: str) -> None:
    if RULE.fullmatch(name) and ".." not in name:
        assert check_name(name) == name
        assert (Path("/root/bundles") / name).resolve().parent == Path("/root/bundles")
    else:
        with pytest.raises(ConfigError, match="is no name for a model: at most 63"):
            check_name(name)


@pytest.mark.parametrize(
    "name", ["-rf", "m@champion", "a/b", "a\n", "a\0", "%2e%2e", '"; drop', "A", "", "é"]
)
def test_hostile_names_reach_nothing(tmp_path: Path, name: str) -> None:
    registry = Registry(tmp_path)
    for use in (registry.champion, registry.rollback):
        with pytest.raises(ConfigError):
            use(name)
    assert not (tmp_path / "registry" / "mlflow.db").exists()


@pytest.mark.parametrize(
    "reference", ["a@", "a:0", "a:x", "a@b:1", "a:1:2", "@champion", "a b", "a@../x", ""]
)
def test_a_reference_that_cannot_be_is_refused(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ConfigError):
        Registry(tmp_path).resolve(reference)


# -- the database -------------------------------------------------------------------------------------


def schema_of(home: Path) -> tuple[str, int, int]:
    with sqlite3.connect(home / "registry" / "mlflow.db") as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        versions = connection.execute("SELECT count(*) FROM alembic_version").fetchone()[0]
        ours = connection.execute("SELECT count(*) FROM experiments WHERE name = 'mozart'").fetchone()[0]
    return integrity, versions, ours


def test_six_cold_first_users_make_one_database(tmp_path: Path) -> None:
    users = [start(OPEN, tmp_path) for _ in range(6)]
    assert [said(user) for user in users] == [[0, None]] * 6
    assert schema_of(tmp_path) == ("ok", 1, 1)
    assert {file.name for file in (tmp_path / "registry").iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_kill_during_creation_needs_no_help(tmp_path: Path) -> None:
    half_made = tmp_path / "registry" / ".mlflow.db.new"
    interrupted = 0
    for delay in (0.0, 0.1, 0.3):
        creator = start(OPEN, tmp_path)
        while not half_made.exists() and creator.poll() is None:
            time.sleep(0.005)
        time.sleep(delay)
        os.kill(creator.pid, signal.SIGKILL)
        creator.communicate()
        interrupted += half_made.exists() and not (tmp_path / "registry" / "mlflow.db").exists()
    assert interrupted > 0
    Registry(tmp_path).prepare()
    assert schema_of(tmp_path) == ("ok", 1, 1)
    assert not list((tmp_path / "registry").glob(".mlflow*"))


def test_looking_into_an_empty_home_makes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "home")
    assert registry.models() == []
    assert registry.champion("tiny") is None
    with pytest.raises(RegistryError, match="no model 'tiny' is published in"):
        registry.resolve("tiny")
    assert not (tmp_path / "home").exists()


def test_a_server_that_is_not_there_is_said_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(
        RegistryError, match=r"the registry http://127.0.0.1:9 did not answer as it should"
    ) as error:
        Registry(tmp_path).champion("tiny")
    assert "secret" not in str(error.value)


# -- registering --------------------------------------------------------------------------------------


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


# -- champions ----------------------------------------------------------------------------------------


def test_promotion_compares_and_swaps(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    one, two, three = (register(registry, "swapped", bundle) for bundle in bundles[:3])
    assert registry.promote(one, None, "the first")
    assert not registry.promote(two, None, "it never saw the first")
    assert registry.promote(two, 1, "it beat the first")
    assert not registry.promote(three, 1, "it beat only the first")
    assert registry.promote(two, 1, "said again after a crash")
    assert registry.champion("swapped").version == 2
    log = registry.promotions.entries("swapped")
    assert [(entry["from"], entry["to"], entry["reason"]) for entry in log] == [
        (None, 1, "the first"),
        (1, 2, "it beat the first"),
    ]


def test_rollback_goes_back_and_further_back(ready: Path, bundles: list[Path]) -> None:
    registry = Registry(ready)
    for number, bundle in enumerate(bundles[:3]):
        registry.promote(register(registry, "back", bundle), number or None, "better")
    assert registry.rollback("back").version == 2
    assert registry.rollback("back").aliases == ("champion",)
    assert registry.champion("back").version == 1
    with pytest.raises(RegistryError, match="no champion before version 1"):
        registry.rollback("back")
    assert [entry["kind"] for entry in registry.promotions.entries("back")][3:] == ["rollback"] * 2


def test_no_rollback_to_a_damaged_bundle(ready: Path, tmp_path: Path) -> None:
    registry = Registry(ready)
    first, second = (other_bundle(tmp_path, seed) for seed in (7, 8))
    registry.promote(register(registry, "broken", first), None, "first")
    registry.promote(register(registry, "broken", second), 1, "better")
    (first / "encoding.json").write_text("{}")
    with pytest.raises(
        RegistryError, match=r"version 1 of 'broken' cannot be champion again: .*encoding.json"
    ):
        registry.rollback("broken")
    assert registry.champion("broken").version == 2
    with pytest.raises(RegistryError, match="no model 'nothing'"):
        registry.rollback("nothing")


def test_four_publishers_at_once_make_four_versions_and_one_champion(
    tmp_path: Path, bundles: list[Path]
) -> None:
    publishers = [start(PUBLISH, tmp_path, bundle, key) for key, bundle in enumerate(bundles)]
    results = [said(publisher) for publisher in publishers]
    assert sorted(version for version, _ in results) == [1, 2, 3, 4]
    (champion,) = [version for version, promoted in results if promoted]
    registry = Registry(tmp_path)
    listed = registry.models()
    assert [version.version for version in listed if version.aliases == ("champion",)] == [champion]
    assert {version.digest for version in listed} == {bundle.name for bundle in bundles}
    assert [entry["to"] for entry in registry.promotions.entries("tiny")] == [champion]


# -- the log of promotions ----------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["promote", "repeat", "rollback", "killed"]), max_size=20))
def test_the_log_knows_the_champion_before(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str]
) -> None:
    """Against a plain pile of champions; `killed` logs a move and never makes it."""
    log = Promotions(tmp_path_factory.mktemp("log") / "promotions.jsonl")
    pile: list[int] = []
    for number, move in enumerate(moves, start=1):
        champion = pile[-1] if pile else None
        if move == "rollback":
            if len(pile) > 1:
                log.append("m", "rollback", champion, pile[-2], "")
                pile.pop()
            continue
        new = pile[0] if move == "repeat" and len(pile) > 1 and pile[0] != champion else number
        log.append("m", "promotion", champion, new, "")
        log.append("other", "promotion", None, 99, "")
        if move != "killed":
            pile.append(new)
    if pile:
        assert log.previous("m", pile[-1]) == (pile[-2] if len(pile) > 1 else None)


def test_a_half_written_line_spoils_no_other(tmp_path: Path) -> None:
    log = Promotions(tmp_path / "promotions.jsonl")
    log.append("m", "promotion", None, 1, "")
    with log.file.open("a") as stream:
        stream.write('{"time": "20')
    log.append("m", "promotion", 1, 2, "")
    assert [entry["to"] for entry in log.entries("m")] == [1, 2]
    assert log.previous("m", 2) == 1
