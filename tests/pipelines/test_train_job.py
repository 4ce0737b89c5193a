"""Training on several machines: the manifest is one that Kubernetes knows, its command really trains."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import yaml
from kubernetes import client

from components.artifacts import read_json
from components.errors import ConfigError
from components.ingest import ingest
from components.statistics import statistics
from components.transform import transform
from pipelines.recipe import load_recipe
from pipelines.train_job import train_job, write_train_job
from tests.pipelines.line import ROOT, folder_with_recipe

ASKED = (
    "resources={workspace: {claim: data, path: /mozart}, pull_secrets: [login], service_account: trainer, "
    "secrets: [{secret: s, key: k, variable: PASSWORD}], steps: {train: {gpus: 2, tolerations: "
    "[{key: nvidia.com/gpu, operator: Exists}], node_selector: {pool: fast}}}}"
)


def check_known(value, kind):
    """Refuses keys that the model of Kubernetes' own client does not have."""
    if kind.startswith("list["):
        for one in value:
            check_known(one, kind[5:-1])
    elif kind.startswith("V1"):
        model = getattr(client, kind)
        names = {wire: name for name, wire in model.attribute_map.items()}
        for key, one in value.items():
            assert key in names, f"{kind} has no {key}"
            check_known(one, model.openapi_types[names[key]])


def test_the_pods_are_ones_that_kubernetes_knows():
    job = train_job(load_recipe("digits-vae", [ASKED]), 2, "/mozart/examples", "/mozart/out")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["replicas"] == 2
    pod = worker["template"]["spec"]
    check_known(pod, "V1PodSpec")
    (container,) = pod["containers"]
    assert container["name"] == "tensorflow"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert {one["name"]: one.get("value") for one in container["env"]} == {
        "MOZART_HOME": "/mozart",
        "PASSWORD": None,
    }
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_what_cannot_be_shared_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="they learn from one volume"):
        train_job(load_recipe("digits-vae"), 2, "e", "o")
    with pytest.raises(ConfigError, match="64 cannot be shared evenly among 6 devices: set it to 66"):
        train_job(load_recipe("digits-vae", [ASKED]), 3, "e", "o")


def test_the_file_says_what_it_reads_and_how_it_is_started(tmp_path):
    file = tmp_path / "job.yaml"
    write_train_job(load_recipe("digits-vae", [ASKED]), 2, file)
    text = file.read_text("utf-8")
    assert "kubectl apply -n NAMESPACE -f job.yaml" in text
    assert "/mozart/examples/digits-vae" in text
    assert yaml.safe_load(text)["metadata"]["name"] == "train-digits-vae"


@pytest.mark.slow
def test_its_command_trains(tmp_path):
    recipe = load_recipe(
        str(folder_with_recipe(tmp_path) / "tiny.yaml"),
        [f"resources.workspace={{claim: data, path: {tmp_path}}}"],
    )
    ingest(recipe.data, tmp_path / "records")
    statistics(tmp_path / "records", tmp_path / "statistics", recipe.data.beam)
    transform(tmp_path / "records", tmp_path / "statistics", tmp_path / "examples", recipe.data)
    job = train_job(recipe, 2, str(tmp_path / "examples"), str(tmp_path / "trained"))
    container = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    assert container["command"][0] == "python"
    done = subprocess.run(
        [sys.executable, *container["command"][1:], *container["args"]],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MOZART_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_json(tmp_path / "trained/model.json")["family"] == "normal"
