"""One version as MLflow keeps it: a run with parameters and metrics, tags, and where its bundle lies.

On one machine the source of a version is the bundle's folder. A server cannot see that and refuses
it, so there the bundle travels as the run's artifact and whoever resolves the version downloads it.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import tracking
from components.artifacts import explain_os_error, read_json
from components.bundle import check_bundle
from components.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

DIGEST = re.compile(r"[0-9a-f]{64}")


def add_version(
    client: MlflowClient,
    uri: str,
    name: str,
    bundle: Path,
    evaluation: dict[str, Any],
    provenance: dict[str, Any],
    key: str,
) -> int:
    """Logs a run, adds the next version of `name` and returns its number."""
    model = read_json(bundle / "model.json")
    metric = evaluation["metric"]
    tags = {
        "mozart.bundle": bundle.name,
        "mozart.model_digest": model["digest"],
        "mozart.family": model["family"],
        "mozart.metric": metric,
        "mozart.data_fingerprint": provenance["data_fingerprint"],
        "mozart.key": key,
    }
    run = _log_run(client, uri, name, evaluation, provenance, tags)
    source = bundle.resolve().as_uri()
    if tracking.is_server(uri):
        tracking.attempt(lambda: client.log_artifacts(run.info.run_id, str(bundle), bundle.name), uri)
        source = f"{run.info.artifact_uri}/{bundle.name}"
    measured = evaluation["validation"].get(metric) or {}
    about = f"{model['family']}: {metric} {measured.get('value')} on {measured.get('n')} validation examples"
    tracking.create_once(lambda: client.create_registered_model(name), uri)

    def add() -> ModelVersion:
        there = client.search_model_versions(f"name = '{name}' AND run_id = '{run.info.run_id}'")
        if there:  # an earlier attempt arrived and its answer did not
            return there[0]
        return client.create_model_version(name, source, run.info.run_id, tags=tags, description=about)

    return int(tracking.attempt(add, uri).version)


def is_ours(entry: ModelVersion) -> bool:
    """Whether Mozart published `entry`: its source is a plain folder named by the digest in its tag.

    Others can write to a registry too, so its addresses are not trusted further than that.
    """
    digest, path = entry.tags.get("mozart.bundle", ""), _path(entry)
    return DIGEST.fullmatch(digest) is not None and path.name == digest and ".." not in path.parts


def bundle_folder(entry: ModelVersion, bundles: Path) -> Path:
    """Where the bundle of `entry` lies or, if only a server has it, will lie.

    Raises:
        RegistryError: Mozart did not publish it.
    """
    if not is_ours(entry):
        raise RegistryError(
            f"version {entry.version} of '{entry.name}' was not published by Mozart "
            f"(its source is {entry.source!r})"
        )
    own = bundles / entry.tags["mozart.bundle"]  # looked for first, so that a home can be moved
    address = urllib.parse.urlsplit(entry.source or "")
    local = address.scheme == "file" and address.netloc in ("", "localhost")
    return _path(entry) if local and not own.is_dir() else own


def _path(entry: ModelVersion) -> Path:
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(entry.source or "").path))


def download(entry: ModelVersion, folder: Path, uri: str) -> None:
    """Fetches the bundle of `entry` from a server, unless its source is a folder of this machine.

    Raises:
        IntegrityError: what came is not what was published.
        RegistryError, ResourceError: the server fails, or the disk is full.
    """
    if (entry.source or "").startswith("file:"):
        return
    from mlflow.artifacts import download_artifacts

    temporary = folder.parent / f".{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        got = tracking.attempt(
            lambda: download_artifacts(artifact_uri=entry.source, dst_path=str(temporary), tracking_uri=uri),
            uri,
        )
        check_bundle(Path(got))
        if not folder.is_dir():
            os.rename(got, folder)
    except OSError as error:
        raise explain_os_error(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _log_run(
    client: MlflowClient,
    uri: str,
    name: str,
    evaluation: dict[str, Any],
    provenance: dict[str, Any],
    tags: dict[str, str],
) -> Run:
    """A finished run with the recipe as parameters and every finite number as a metric.

    Under Kubeflow's MLflow plugin it goes into the experiment and below the run that the plugin names.
    """
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, 0) for key, value in _metrics(evaluation).items()]
    params = [Param(key, value) for key, value in _parameters(provenance.get("recipe") or {}).items()]
    if parent := os.environ.get("MLFLOW_RUN_ID"):
        tags = tags | {"mlflow.parentRunId": parent}
    experiment = os.environ.get("MLFLOW_EXPERIMENT_ID") or _experiment(client, uri)
    run = tracking.attempt(lambda: client.create_run(experiment, tags=tags, run_name=name), uri)
    for start in range(0, max(len(metrics), len(params)), 100):  # a server takes 100 parameters at once
        chunk = slice(start, start + 100)
        tracking.attempt(lambda: client.log_batch(run.info.run_id, metrics[chunk], params[chunk]), uri)  # noqa: B023
    tracking.attempt(lambda: client.set_terminated(run.info.run_id), uri)
    return run


def _experiment(client: MlflowClient, uri: str) -> str:
    """The id of our experiment, made where another store than ours has none yet."""

    def named() -> Any:
        return client.get_experiment_by_name(tracking.EXPERIMENT)

    if tracking.attempt(named, uri) is None:
        tracking.create_once(lambda: client.create_experiment(tracking.EXPERIMENT), uri)
    return tracking.attempt(named, uri).experiment_id


def _metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """`validation.METRIC` and `test.METRIC` → value, the finite ones: MLflow stores no others."""
    found = {}
    for split in ("validation", "test"):
        for metric, entry in (evaluation.get(split) or {}).items():
            value = entry.get("value")
            if isinstance(value, int | float) and math.isfinite(value):
                found[_allowed(f"{split}.{metric}")] = float(value)
    return found


def _parameters(recipe: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """`train.epochs` → "50": a recipe's values by dotted key, at most 500 characters each."""
    found: dict[str, str] = {}
    for key, value in recipe.items():
        if isinstance(value, dict) and value:
            found |= _parameters(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found[_allowed(f"{prefix}{key}")] = text[:500]
    return found


def _allowed(key: str) -> str:
    """MLflow's alphabet of keys."""
    return re.sub(r"[^\w./ -]", "_", key)[:250]
