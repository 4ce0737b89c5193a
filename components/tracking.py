"""MLflow's tracking store, opened safely: created once, quiet, without telemetry, errors in one sentence.

Several processes that open a fresh sqlite database crash in its migration. So the first one, under a
file lock, makes the tables in a file beside and renames it: the database is whole or absent, however
that process ends.
"""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from components.artifacts import explain_os_error
from components.errors import RegistryError, ResourceError
from components.patience import held

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Result = TypeVar("Result")
EXPERIMENT = "mozart"
ATTEMPTS = 5
SETTINGS = {  # where the environment says nothing: quiet, and an absent server is noticed in seconds
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def database_file(uri: str) -> Path | None:
    """The file behind a `sqlite:///` address, None for any other store."""
    prefix = "sqlite:///"
    return Path(uri[len(prefix) :]) if uri.startswith(prefix) else None


def is_server(uri: str) -> bool:
    """Whether `uri` is an MLflow server, which cannot see our files."""
    return uri.startswith(("http://", "https://"))


def shown(uri: str) -> str:
    """`uri` for people and logs: without the password that it may carry."""
    return re.sub(r"//[^/@]*@", "//", uri)


def prepare(uri: str, artifacts: Path) -> None:
    """Creates the database of a `sqlite:///` address if there is none; ten at once may ask.

    Raises:
        ResourceError: the disk is full or not writable.
        RegistryError: another process holds the lock for too long.
    """
    database = database_file(uri)
    if database is None or database.exists():
        return
    try:
        with held(database.with_name(database.name + ".lock")):
            if not database.exists():
                _create(database, artifacts)
    except OSError as error:
        raise explain_os_error(error, database) from error


def _create(database: Path, artifacts: Path) -> None:
    """Makes the tables and our experiment beside, then renames. The caller holds the lock."""
    _import_quietly()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for stale in database.parent.glob(f".{database.name}.new*"):  # of a creator that was killed
        stale.unlink()
    new = database.with_name(f".{database.name}.new")
    store = SqlAlchemyStore(f"sqlite:///{new}", artifacts.as_uri())
    store.create_experiment(EXPERIMENT, artifact_location=artifacts.as_uri())
    store.engine.dispose()
    with new.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(new, database)


def connect(uri: str) -> MlflowClient:
    """A client of the tracking store and model registry at `uri`."""
    _import_quietly()
    from mlflow.tracking import MlflowClient

    return attempt(lambda: MlflowClient(tracking_uri=uri, registry_uri=uri), uri)


def attempt(call: Callable[[], Result], uri: str) -> Result:
    """The result of `call`, tried again while the store is busy; so `call` must bear repetition.

    Raises:
        RegistryError: the store cannot be reached or refuses.
        ResourceError: the disk is full or not writable.
    """
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    for left in reversed(range(ATTEMPTS)):
        try:
            return call()
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            said = str(error)
            if left and any(busy in said for busy in ("database is locked", "IntegrityError")):
                time.sleep(random.uniform(0.05, 0.3) * (ATTEMPTS - left))
                continue
            raise _explained(error, uri) from (error if uri == shown(uri) else None)  # MLflow cites it
    raise AssertionError("the last attempt returns or raises")


def find(call: Callable[[], Result], uri: str) -> Result | None:
    """As `attempt`, and None where the store says that it holds no such thing."""
    from mlflow.exceptions import MlflowException

    def look() -> Result | None:
        try:
            return call()
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST" or "not found" in str(error):
                return None
            raise

    return attempt(look, uri)


def create_once(call: Callable[[], object], uri: str) -> None:
    """As `attempt`, and content where another process has created the same just before."""
    from mlflow.exceptions import MlflowException

    def create() -> None:
        try:
            call()
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    attempt(create, uri)


def _explained(error: Exception, uri: str) -> RegistryError | ResourceError:
    """The first line of MLflow's error, in a sentence of ours."""
    said = str(error).strip() or type(error).__name__
    line = shown(said.splitlines()[0])[:300]
    if "database or disk is full" in said:
        return ResourceError(f"the disk is full: the registry {shown(uri)} needs room; make some, run again")
    if "readonly database" in said:
        return ResourceError(f"the registry {shown(uri)} cannot be written: its file is read-only")
    return RegistryError(f"the registry {shown(uri)} did not answer as it should: {line}")


def _import_quietly() -> None:
    """MLflow reads its environment when it is imported and again at each request."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
