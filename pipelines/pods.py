"""What a step's pod is given on a cluster: the `resources:` of a recipe, put on a task of the pipeline.

Kubeflow's local runner ignores all of this.
"""

from __future__ import annotations

import os
from typing import Any

from components.artifact_roots import ENDPOINTS, artifact_root
from components.resources import HOME, ROOT, RUN, ResourceSettings, check_image
from components.storage import is_remote
from pipelines import steps

RUN_LABEL = "metadata.labels['pipeline/runid']"  # Kubeflow puts it on every pod of a run


def image_of(resources: ResourceSettings) -> str:
    """The image that the pods run: the recipe's, else that of MOZART_IMAGE, else this version's.

    Raises:
        ValueError: MOZART_IMAGE names none, or one that moves.
    """
    return resources.image or check_image(steps.IMAGE)


def dress(task: Any, step: str, resources: ResourceSettings) -> Any:
    """Gives a task its image, compute, volumes, variables, limits and identity; returns the task."""
    from kfp import kubernetes

    needs = resources.of(step)
    task.set_container_image(image_of(resources))
    task.set_cpu_request(needs.cpu_request).set_cpu_limit(needs.cpu_limit)
    task.set_memory_request(needs.memory_request).set_memory_limit(needs.memory_limit)
    if needs.gpus:
        task.set_accelerator_type(needs.gpu_type).set_accelerator_limit(needs.gpus)
    if needs.retry.times:
        task.set_retry(
            num_retries=needs.retry.times,
            backoff_duration=f"{needs.retry.wait_seconds}s",
            backoff_factor=needs.retry.factor,
            backoff_max_duration=f"{needs.retry.longest_seconds}s",
        )
    kubernetes.set_timeout(task, 60 * (needs.timeout_minutes or 0))
    for key, value in needs.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for one in needs.tolerations:
        kubernetes.add_toleration(task, one.key or None, one.operator, one.value or None, one.effect or None)
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", needs.shared_memory)
    _share(task, resources)
    return task


def variables(resources: ResourceSettings) -> dict[str, str]:
    """The plain environment of every pod.

    Raises:
        ConfigError: MOZART_ARTIFACTS is set here, where it counts, to what is no store.
    """
    workspace = resources.workspace
    ours = {HOME: workspace.path} if workspace.claim else {}
    root = {ROOT: workspace.root} if workspace.root else _root_here()
    return ours | root | resources.environment


def _root_here() -> dict[str, str]:
    """The store that runs here copy to, and its server: a pod reaches an address, and no folder of this machine."""
    if not is_remote(artifact_root()):
        return {}
    servers = {name: os.environ[name] for name in ENDPOINTS if os.environ.get(name)}
    return {ROOT: os.environ[ROOT].strip()} | servers


def _share(task: Any, resources: ResourceSettings) -> None:
    """What every pod of the run has alike."""
    from kfp import kubernetes

    kubernetes.set_security_context(task, resources.user, resources.group, run_as_non_root=True)
    kubernetes.use_field_path_as_env(task, RUN, RUN_LABEL)
    if resources.workspace.claim:
        kubernetes.mount_pvc(task, resources.workspace.claim, resources.workspace.path)
    for name, value in variables(resources).items():
        task.set_env_variable(name, value)
    for one in resources.secrets:
        kubernetes.use_secret_as_env(task, one.secret, {one.key: one.variable})
    if resources.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(resources.pull_secrets))
