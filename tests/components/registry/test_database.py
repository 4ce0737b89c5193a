"""The registry's database, MLflow on sqlite: made once, whoever comes first and whoever is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from components.errors import RegistryError
from components.registry import Registry
from tests.components.publishing import said, start

OPEN = """
import json, sys
from pathlib import Path
from components.registry import Registry
registry = Registry(Path(sys.argv[1]))
registry.prepare()
print(json.dumps([len(registry.models()), registry.champion("tiny")]))
"""


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
