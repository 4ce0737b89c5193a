"""What a run needs of a cluster: the `resources:` block of a recipe. It changes nothing of a run here.

Secrets are named, never given: a pod finds their values in its environment.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from components.errors import did_you_mean
from components.settings import Settings

STEPS = ("ingest", "statistics", "validate", "transform", "train", "evaluate", "publish")
TIMEOUTS = {"train": 1440, "evaluate": 480}
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|[kMGTP]|[KMGTP]i)?$"
LABEL = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"
LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
OBJECT = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
HOME = "MOZART_HOME"
RUN = "MOZART_RUN"
ROOT = "MOZART_ARTIFACTS"
OURS = (HOME, RUN, ROOT)  # set by Mozart itself in every pod
_UNITS = {"": 1.0, "m": 1e-3}
_UNITS |= {unit: 1000.0**i for i, unit in enumerate("kMGTP", 1)}
_UNITS |= {f"{unit}i": 1024.0**i for i, unit in enumerate("KMGTP", 1)}
_SECRET = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE", re.IGNORECASE)
_USER_IN_ADDRESS = re.compile(r"://[^/@\s]+:[^/@\s]+@")


def amount(quantity: str) -> float:
    """Kubernetes' `500m`, `8Gi`, `2` as a number."""
    digits = quantity.rstrip("mkKMGTPi")
    return float(digits) * _UNITS[quantity[len(digits) :]]


class Toleration(Settings):
    """A taint of nodes that pods may run on all the same."""

    key: str = Field("", max_length=316, description="the taint's key; none: every taint")
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = Field("", pattern=LABEL, description="letters, digits, '.', '_' and '-'; at most 63")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if not self.key and self.operator != "Exists":
            raise ValueError("a toleration without a key is {operator: Exists}: it tolerates every taint")
        if self.value and self.operator == "Exists":
            raise ValueError("operator Exists looks at no value: leave the value out, or use Equal")
        return self


class Retry(Settings):
    """What happens after a step failed."""

    times: int = Field(2, ge=0, le=20, description="further attempts")
    wait_seconds: int = Field(60, ge=0, le=86_400, description="before the first of them")
    factor: float = Field(2.0, ge=1, le=10, description="by which each wait is longer than the one before")
    longest_seconds: int = Field(3600, ge=1, le=86_400, description="most that is waited")


class StepResources(Settings):
    """Of every step."""

    cpu_request: str = Field("1", pattern=QUANTITY, description="cores that a node must have free, e.g. 500m")
    cpu_limit: str = Field("4", pattern=QUANTITY, description="most cores, e.g. 4")
    memory_request: str = Field("2Gi", pattern=QUANTITY, description="that a node must have free, e.g. 2Gi")
    memory_limit: str = Field("8Gi", pattern=QUANTITY, description="most memory, e.g. 8Gi")
    gpus: int = Field(0, ge=0, le=64, description="accelerators (train and evaluate only)")
    gpu_type: str = Field(
        "nvidia.com/gpu",
        pattern=LABEL_KEY,
        description="the resource that a node offers, e.g. nvidia.com/gpu",
    )
    shared_memory: str = Field("1Gi", pattern=QUANTITY, description="size of /dev/shm, e.g. 1Gi")
    node_selector: dict[str, str] = Field({}, description="labels that a node must have")
    tolerations: tuple[Toleration, ...] = Field((), description="taints that are tolerated")
    timeout_minutes: int | None = Field(
        None,
        ge=1,
        le=525_600,
        description="after which it is ended; by default 24 hours for train, 8 for evaluate, 2 for the others",
    )
    retry: Retry = Retry()

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        for what in ("cpu", "memory"):
            request, limit = getattr(self, f"{what}_request"), getattr(self, f"{what}_limit")
            if amount(request) > amount(limit):
                raise ValueError(f"{what}_request {request} is above {what}_limit {limit}")
        for key, value in self.node_selector.items():
            if not re.match(LABEL_KEY, key) or not re.match(LABEL, value):
                raise ValueError(f"node_selector: '{key}: {value}' is no label of Kubernetes")
        return self


class OneStep(Settings):
    """What one step needs instead of what `every_step` says."""

    cpu_request: str | None = Field(None, pattern=QUANTITY, description="cores that must be free, e.g. 500m")
    cpu_limit: str | None = Field(None, pattern=QUANTITY, description="most cores, e.g. 4")
    memory_request: str | None = Field(None, pattern=QUANTITY, description="that must be free, e.g. 2Gi")
    memory_limit: str | None = Field(None, pattern=QUANTITY, description="most memory, e.g. 8Gi")
    gpus: int | None = Field(None, ge=0, le=64, description="accelerators (train and evaluate only)")
    gpu_type: str | None = Field(None, pattern=LABEL_KEY, description="the resource that a node offers")
    shared_memory: str | None = Field(None, pattern=QUANTITY, description="size of /dev/shm, e.g. 1Gi")
    node_selector: dict[str, str] | None = Field(None, description="labels that a node must have")
    tolerations: tuple[Toleration, ...] | None = Field(None, description="taints that are tolerated")
    timeout_minutes: int | None = Field(None, ge=1, le=525_600, description="after which it is ended")
    retry: Retry | None = None


class Workspace(Settings):
    """What outlives the pods: a volume for MOZART_HOME, and where Kubeflow keeps the artifacts."""

    claim: str = Field(
        "", pattern=f"({OBJECT})|^$", max_length=253, description="an existing PersistentVolumeClaim"
    )
    path: str = Field(
        "/mozart", pattern=r"^/[A-Za-z0-9._/-]+$", description="where pods see it: MOZART_HOME lies there"
    )
    root: str = Field(
        "",
        pattern=r"^((s3|gs|minio)://[^\s:@]+)?$",
        description="where artifacts and bundles are kept, s3://, gs:// or minio://; else the cluster's own place",
    )


class SecretVariable(Settings):
    """One key of a Kubernetes secret as an environment variable of every step."""

    secret: str = Field(pattern=OBJECT, max_length=253, description="name of the secret")
    key: str = Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=253, description="its key")
    variable: str = Field(
        pattern=VARIABLE, description="the environment variable, e.g. AWS_SECRET_ACCESS_KEY"
    )

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.variable in OURS:
            raise ValueError(f"{self.variable} is set by Mozart itself: choose another variable")
        return self


class ResourceSettings(Settings):
    """What a run needs of a cluster."""

    image: str = Field(
        "",
        max_length=512,
        description="with a tag or, better, a digest; by default that of MOZART_IMAGE, or mozart-python:VERSION",
    )
    pull_secrets: tuple[str, ...] = Field((), description="secrets by which the image may be pulled")
    service_account: str = Field("", pattern=f"({OBJECT})|^$", description="which runs use in the cluster")
    user: int = Field(1000, ge=1, le=2**31 - 1, description="the pods' user; never root")
    group: int = Field(1000, ge=0, le=2**31 - 1, description="the pods' group")
    workspace: Workspace = Workspace()
    environment: dict[str, str] = Field({}, description="plain variables of every step, e.g. of MLflow")
    secrets: tuple[SecretVariable, ...] = Field((), description="variables whose values Kubernetes keeps")
    every_step: StepResources = StepResources()
    steps: dict[str, OneStep] = Field({}, description="what single steps need instead, by step")

    @model_validator(mode="after")
    def _can_be_meant(self) -> Self:
        if self.image:
            check_image(self.image)
        for name, value in self.environment.items():
            if not re.match(VARIABLE, name):
                raise ValueError(f"environment: '{name}' is no name of a variable")
            if name in OURS:
                raise ValueError(f"environment: {name} is set by Mozart itself")
            if _SECRET.search(name) or _USER_IN_ADDRESS.search(value):
                raise ValueError(
                    f"environment: {name} looks like a secret, which everybody could read in the pipeline: "
                    "name a Kubernetes secret under resources.secrets instead"
                )
        for name in self.pull_secrets:
            if not re.match(OBJECT, name):
                raise ValueError(f"pull_secrets: '{name}' is no name of a Kubernetes secret")
        variables = [one.variable for one in self.secrets] + list(self.environment)
        for name in sorted({one for one in variables if variables.count(one) > 1}):
            raise ValueError(f"the variable {name} is set twice")
        for name in self.steps:
            if name not in STEPS:
                raise ValueError(f"steps: there is no step '{name}'{did_you_mean(name, STEPS)}")
        for name in STEPS:
            if self.of(name).gpus and name not in ("train", "evaluate"):
                raise ValueError(f"step '{name}' computes on no accelerator: give gpus under steps.train")
        return self

    def lasting(self) -> bool:
        """Whether the registry outlives the pods: on a volume, or at a server with its bundles elsewhere."""
        named = {*self.environment, *(one.variable for one in self.secrets)}
        return bool(self.workspace.claim or (self.workspace.root and "MLFLOW_TRACKING_URI" in named))

    def of(self, step: str) -> StepResources:
        """What a step needs: what it says itself, else what `every_step` says."""
        own = self.steps.get(step, OneStep())
        said = {name: value for name in OneStep.model_fields if (value := getattr(own, name)) is not None}
        values = {name: getattr(self.every_step, name) for name in StepResources.model_fields}
        values["timeout_minutes"] = values["timeout_minutes"] or TIMEOUTS.get(step, 120)
        try:
            return StepResources(**{**values, **said})
        except ValidationError as error:
            raise ValueError(f"step '{step}': {error.errors()[0]['ctx']['error']}") from error


def check_image(image: str) -> str:
    """The name of an image that stays what it is.

    Raises:
        ValueError: no name of an image, or one without a tag or with `latest`, which moves.
    """
    found = re.fullmatch(
        r"(?P<name>[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*?)"
        r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?",
        image,
    )
    if not found:
        raise ValueError(
            f"image: '{image[:80]}' is no name of a container image, e.g. registry.example/mozart:1"
        )
    if found["tag"] == "latest" or not (found["tag"] or found["digest"]):
        raise ValueError(
            f"image: '{image[:80]}' names whatever is newest on the day of the run: give a tag other than "
            "latest, or better a digest (@sha256:...)"
        )
    return image
