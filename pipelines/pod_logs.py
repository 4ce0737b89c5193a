"""What the steps of a run on a cluster did and said: states from Kubeflow, words from Kubernetes."""

from __future__ import annotations

from typing import Any

from components.errors import ConfigError, ResourceError, did_you_mean

STEPS_FIRST = (
    "look",
    "ingest",
    "statistics",
    "validate",
    "transform",
    "train",
    "evaluate",
    "publish",
    "finish",
)


def steps_of(run: Any) -> dict[str, Any]:
    """The newest detail of each step of a run that Kubeflow describes, in the order of the line."""
    details = (run.run_details.task_details if run.run_details else None) or []
    found: dict[str, Any] = {}
    for one in details:
        if one.display_name in STEPS_FIRST:
            found[one.display_name] = one
    return {step: found[step] for step in STEPS_FIRST if step in found}


def pod_of(detail: Any) -> str:
    """The pod that did a step's work; empty where none did."""
    pods = [child.pod_name for child in detail.child_tasks or [] if child.pod_name]
    return pods[-1] if pods else detail.pod_name or ""


def pick(steps: dict[str, Any], name: str) -> Any:
    """The detail of one step.

    Raises:
        ConfigError: the run has no such step, or has not come to it.
    """
    if name not in steps:
        known = did_you_mean(name, STEPS_FIRST) if name not in STEPS_FIRST else ""
        raise ConfigError(f"the run has no step '{name}' so far{known}")
    return steps[name]


def words(pod: str, namespace: str, lines: int) -> str:
    """The end of a pod's log, by the credentials of kubectl (KUBECONFIG, ~/.kube/config) or of the cluster.

    Raises:
        ResourceError: no credentials, no answer, or the pod is gone.
    """
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        config.load_config()
    except (config.ConfigException, OSError) as error:
        raise ResourceError(
            "a pod's log is read from Kubernetes, and there are no credentials for that: set KUBECONFIG "
            f"(or: kubectl -n {namespace} logs {pod} -c main)"
        ) from error
    try:
        said = client.CoreV1Api().read_namespaced_pod_log(
            pod, namespace, container="main", tail_lines=lines, _preload_content=False, _request_timeout=30
        )
        return said.data.decode("utf-8", "replace")
    except ApiException as error:
        gone = "it is gone: Kubernetes keeps logs as long as pods" if error.status == 404 else error.reason
        raise ResourceError(
            f"the log of pod '{pod}' in namespace '{namespace}' cannot be read: {gone}"
        ) from error
    except HTTPError as error:
        raise ResourceError(f"Kubernetes does not answer ({type(error).__name__})") from error
