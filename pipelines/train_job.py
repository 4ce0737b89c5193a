"""Training on several machines: a TFJob of Kubeflow's training operator for the train step of a recipe.

The operator gives every pod its TF_CONFIG, by which `components.devices` joins them into one training; the
pods run the very call that the pipeline's train step makes. (TrainJob, its successor, has no runtime for
TensorFlow.) The volume of `resources.workspace` holds the examples, and takes the model from worker 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from components.errors import ConfigError
from pipelines.factory import blocks_of
from pipelines.pods import image_of, variables
from pipelines.recipe import Recipe

COMMAND = "import sys; from components.step import train; train(*sys.argv[1:])"
NOTE = """\
# Training of '{name}' on {workers} workers: kubectl apply -n NAMESPACE -f {file}
# It reads {examples}, the `examples` folder that a run's transform step wrote, and writes {out}.
"""


def write_train_job(recipe: Recipe, workers: int, path: Path) -> None:
    """Writes the manifest.

    Raises:
        ConfigError: no volume that all workers see, or a batch that cannot be shared evenly.
    """
    place = Path(recipe.resources.workspace.path)
    folders = {"examples": place / "examples" / recipe.name, "out": place / "trained" / recipe.name}
    head = NOTE.format(name=recipe.name, workers=workers, file=path.name, **folders)
    job = train_job(recipe, workers, str(folders["examples"]), str(folders["out"]))
    path.write_text(head + yaml.safe_dump(job, sort_keys=False), "utf-8")


def train_job(recipe: Recipe, workers: int, examples: str, out: str) -> dict[str, Any]:
    """The manifest as Kubernetes reads it. Raises as `write_train_job`."""
    resources = recipe.resources
    needs = resources.of("train")
    if not resources.workspace.claim:
        raise ConfigError("--workers: they learn from one volume: name it under resources.workspace.claim")
    devices = workers * max(needs.gpus, 1)
    if recipe.train.batch_size % devices:
        raise ConfigError(
            f"--workers {workers}: train.batch_size {recipe.train.batch_size} cannot be shared evenly among "
            f"{devices} devices: set it to {-(-recipe.train.batch_size // devices) * devices}"
        )
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": f"train-{recipe.name.replace('_', '-').replace('.', '-')}"[:52].rstrip("-")},
        "spec": {
            "runPolicy": {
                "cleanPodPolicy": "Running",
                "backoffLimit": needs.retry.times,
                "activeDeadlineSeconds": 60 * (needs.timeout_minutes or 0),
            },
            "tfReplicaSpecs": {
                "Worker": {
                    "replicas": workers,
                    "restartPolicy": "OnFailure",
                    "template": {"spec": _pod(recipe, examples, out)},
                }
            },
        },
    }


def _pod(recipe: Recipe, examples: str, out: str) -> dict[str, Any]:
    resources, needs = recipe.resources, recipe.resources.of("train")
    pod: dict[str, Any] = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": resources.user,
            "runAsGroup": resources.group,
            "fsGroup": resources.group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(recipe, examples, out)],
        "volumes": [
            {"name": "workspace", "persistentVolumeClaim": {"claimName": resources.workspace.claim}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": needs.shared_memory}},
        ],
        "nodeSelector": needs.node_selector,
        "tolerations": [
            {key: value for key, value in one.model_dump().items() if value} for one in needs.tolerations
        ],
        "imagePullSecrets": [{"name": name} for name in resources.pull_secrets],
        "serviceAccountName": resources.service_account,
    }
    return {key: value for key, value in pod.items() if value}


def _container(recipe: Recipe, examples: str, out: str) -> dict[str, Any]:
    resources, needs = recipe.resources, recipe.resources.of("train")
    blocks = blocks_of(recipe)
    given = [blocks[name] for name in ("name", "data", "model", "train")]
    accelerators = {needs.gpu_type: needs.gpus} if needs.gpus else {}
    secrets = [
        {"name": one.variable, "valueFrom": {"secretKeyRef": {"name": one.secret, "key": one.key}}}
        for one in resources.secrets
    ]
    return {
        "name": "tensorflow",  # the operator looks for this name
        "image": image_of(resources),
        "command": ["python", "-c", COMMAND],
        "args": [*given, "", examples, out, f"{out}.metrics.json"],
        "ports": [{"name": "tfjob-port", "containerPort": 2222}],
        "env": [{"name": name, "value": value} for name, value in variables(resources).items()] + secrets,
        "resources": {
            "requests": {"cpu": needs.cpu_request, "memory": needs.memory_request},
            "limits": {"cpu": needs.cpu_limit, "memory": needs.memory_limit, **accelerators},
        },
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "workspace", "mountPath": resources.workspace.path},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
        ],
    }
