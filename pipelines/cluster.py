"""Kubeflow as a client sees it: submit, upload, list; every fault of the server is one sentence.

Where it is and who asks come from flags or the environment: MOZART_KFP_HOST, MOZART_KFP_NAMESPACE,
MOZART_KFP_TOKEN. The token appears in no message.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.artifacts import fingerprint_of
from components.errors import ConfigError, MozartError, ResourceError
from pipelines.factory import compile_to
from pipelines.recipe import Recipe

SECONDS = 30  # for a server's answer
PAGE = 100


@dataclass(frozen=True)
class Server:
    """Which Kubeflow, which namespace (empty: the server has but one), whose token (empty: none)."""

    host: str
    namespace: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Server({self.host!r}, {self.namespace!r})"


def connect(server: Server) -> Any:
    """A `kfp.Client` that has heard from the server.

    Raises:
        ConfigError: no host, or the token is not accepted. ResourceError: nobody answers.
    """
    if not server.host:
        raise ConfigError("which Kubeflow? give --host or set MOZART_KFP_HOST, e.g. http://localhost:8080")
    if not server.host.startswith(("http://", "https://")):
        raise ConfigError(f"--host {server.host[:80]}: an address starts with http:// or https://")
    import kfp_server_api
    from kfp import Client

    socket.setdefaulttimeout(SECONDS)  # Kubeflow's client waits for ever otherwise
    configuration = kfp_server_api.Configuration(host=server.host.rstrip("/"))
    if server.token:
        configuration.api_key = {"authorization": server.token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    with asking(server):  # the client itself would ask five times and print each failure
        with kfp_server_api.ApiClient(configuration) as api:
            kfp_server_api.HealthzServiceApi(api).healthz_service_get_healthz()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Client(
                host=server.host,
                namespace=server.namespace or "kubeflow",
                existing_token=server.token or None,
            )


@contextlib.contextmanager
def asking(server: Server) -> Iterator[None]:
    """Turns what the server or the network says into a sentence, and keeps the client's own off the screen."""
    from kfp_server_api.exceptions import ApiException, ApiTypeError, ApiValueError
    from urllib3.exceptions import HTTPError

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except ApiException as error:
        raise _refused(server, error) from error
    except (HTTPError, OSError) as error:
        raise ResourceError(
            f"Kubeflow at {server.host} does not answer ({type(error).__name__}): is it running, and is the way "
            "there open (kubectl port-forward)?"
        ) from error
    except (ApiTypeError, ApiValueError, json.JSONDecodeError) as error:
        raise ResourceError(f"what answers at {server.host} is no Kubeflow Pipelines server") from error


def _refused(server: Server, error: Any) -> MozartError:
    try:
        said = json.loads(error.body or "{}").get("message", "")
    except (ValueError, AttributeError):
        said = ""
    said = " ".join(str(said).split())[:300]
    tail = f": {said}" if said else ""
    if error.status in (401, 403):
        where = f" in namespace '{server.namespace}'" if server.namespace else ""
        return ConfigError(
            f"Kubeflow at {server.host} does not let you{where} (status {error.status}): give --token or "
            f"MOZART_KFP_TOKEN, and a --namespace of yours{tail}"
        )
    if error.status == 404:
        return ConfigError(f"Kubeflow at {server.host} has no such thing{tail}")
    if error.status in (400, 409):
        return ConfigError(f"Kubeflow at {server.host} refused what was asked{tail}")
    return ResourceError(f"Kubeflow at {server.host} failed with status {error.status}{tail}")


def check_lasting(recipe: Recipe) -> None:
    """A run on a cluster whose registry ends with its pods would publish to nobody.

    Raises:
        ConfigError: no volume is named, and no server with a place for bundles.
    """
    if not recipe.resources.lasting():
        raise ConfigError(
            f"recipe '{recipe.name}': resources.workspace.claim names no volume, so what is published would end "
            "with its pod: name a PersistentVolumeClaim of the namespace, or workspace.root and, as a variable, "
            "MLFLOW_TRACKING_URI"
        )


@contextlib.contextmanager
def package(recipe: Recipe, caching: bool = True) -> Iterator[Path]:
    """The compiled pipeline, in a file that is gone afterwards."""
    check_lasting(recipe)
    with tempfile.TemporaryDirectory(prefix="mozart-") as folder:
        file = Path(folder) / "pipeline.yaml"
        compile_to(recipe, file, caching=caching)
        yield file


def experiment(client: Any, server: Server, name: str) -> str:
    """The id of the experiment that holds a recipe's runs, made where there is none."""
    return client.create_experiment(name, namespace=server.namespace or None).experiment_id


def submit(client: Any, server: Server, recipe: Recipe) -> Any:
    """Starts one run; returns it as the server describes it."""
    with package(recipe) as file, asking(server):
        return client.run_pipeline(
            experiment_id=experiment(client, server, recipe.name),
            job_name=f"{recipe.name} {datetime.now(UTC):%Y-%m-%d %H-%M-%S}",
            pipeline_package_path=str(file),
            pipeline_root=recipe.resources.workspace.root or None,
            service_account=recipe.resources.service_account or None,
        )


def upload(client: Any, server: Server, recipe: Recipe, name: str, version: str = "") -> tuple[Any, bool]:
    """The version of the named pipeline that holds this recipe, and whether it is new.

    Without a name the version is called after its content, so that the same pipeline is uploaded once.

    Raises:
        ConfigError: a version of that name is there already and was asked for by name.
    """
    import kfp_server_api

    with package(recipe) as file, asking(server):
        called = version or fingerprint_of(file.read_text("utf-8"))
        found = _one(
            client.list_pipelines(filter=_equals(name), namespace=server.namespace or None).pipelines
        )
        if found is None:
            found = client.pipelines.pipeline_service_create_pipeline(
                pipeline=kfp_server_api.V2beta1Pipeline(
                    display_name=name, name=name, namespace=server.namespace or None, description=recipe.about
                )
            )
        versions = client.list_pipeline_versions(found.pipeline_id, filter=_equals(called))
        old = _one(versions.pipeline_versions)
        if old is not None and version:
            raise ConfigError(f"pipeline '{name}' has a version '{version}' already: give another --version")
        if old is not None:
            return old, False
        new = client.upload_pipeline_version(
            str(file), called, pipeline_id=found.pipeline_id, description=recipe.about
        )
        return new, True


def runs(client: Any, server: Server, count: int, recipe: str = "") -> list[Any]:
    """The newest runs first, of one recipe or of all in the namespace."""
    within: dict[str, Any] = {"namespace": server.namespace or None}
    with asking(server):
        if recipe:
            try:
                found = client.get_experiment(experiment_name=recipe, namespace=server.namespace or None)
            except ValueError as error:  # what the client makes of an empty list
                raise ConfigError(f"no run of '{recipe}' was ever submitted to {server.host}") from error
            within = {"experiment_id": found.experiment_id}
        listed: list[Any] = []
        token = ""
        while len(listed) < count:
            page = client.list_runs(
                page_token=token, page_size=min(PAGE, count), sort_by="created_at desc", **within
            )
            listed += page.runs or []
            token = page.next_page_token or ""
            if not token:
                break
    return listed[:count]


def _equals(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _one(found: list[Any] | None) -> Any | None:
    return found[0] if found else None
