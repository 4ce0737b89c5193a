"""What a cluster is given: every recipe's pipeline and pods, and the same artifacts as a run here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.artifacts import read_json
from components.bundle import check_bundle
from components.errors import ConfigError
from components.resources import STEPS
from pipelines.factory import compile_to
from pipelines.recipe import bundled_recipes, load_recipe
from tests.pipelines.line import ROOT, TINY, changes, facts, folder_with_recipe, mozart

TASKS = ("look", *STEPS, "finish")
EVERYTHING = """
image: registry.example/mozart-python:1@sha256:{digest}
pull_secrets: [registry-login]
workspace: {{claim: mozart-data, path: /mozart, root: "s3://mozart/artifacts"}}
environment: {{MLFLOW_TRACKING_URI: "http://mlflow.example"}}
secrets: [{{secret: s3, key: password, variable: AWS_SECRET_ACCESS_KEY}}]
user: 1234
group: 4321
every_step:
  cpu_request: 500m
  retry: {{times: 3, wait_seconds: 10, factor: 3, longest_seconds: 600}}
  node_selector: {{pool: cheap}}
steps:
  train:
    gpus: 2
    shared_memory: 8Gi
    memory_limit: 64Gi
    node_selector: {{pool: fast}}
    tolerations: [{{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}}]
    timeout_minutes: 600
""".format(digest="0" * 64)


def compiled(recipe, folder: Path) -> tuple[dict, dict]:
    """The pipeline and what Kubernetes is told of it, both read back as the messages that they are."""
    file = folder / "pipeline.yaml"
    compile_to(recipe, file)
    spec, platform = yaml.safe_load_all(file.read_text("utf-8"))
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.mark.parametrize("name", bundled_recipes())
def test_every_recipe_compiles_to_a_pipeline_whose_every_pod_is_bounded(name, tmp_path):
    recipe = load_recipe(name)
    scheme, _, place = recipe.data.source.partition(":")
    if place in ("FILE", "FOLDER"):
        recipe = load_recipe(name, [f"data.source={scheme}:/mozart/data/mine"])
    spec, platform = compiled(recipe, tmp_path)
    executors = spec["deploymentSpec"]["executors"]
    assert set(executors) == set(platform) == {f"exec-{task}" for task in TASKS}
    tasks = {
        name: task
        for group in (spec["root"], *spec["components"].values())
        for name, task in group.get("dag", {}).get("tasks", {}).items()
    }
    for task in TASKS:
        container, pod = executors[f"exec-{task}"]["container"], platform[f"exec-{task}"]
        json_format.ParseDict(pod, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        assert container["resources"]["resourceCpuLimit"] == "4"
        assert container["resources"]["resourceMemoryLimit"] == "8Gi"
        assert container["image"].startswith("mozart-python:")
        assert not container["image"].endswith(":latest")
        assert "pip" not in " ".join(container["command"]), "nothing is installed while it runs"
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert int(pod["activeDeadlineSeconds"]) > 0
        assert tasks[task]["retryPolicy"]["maxRetryCount"] == 2


def test_the_store_of_whoever_compiles_reaches_the_pods_where_the_recipe_names_none(tmp_path, monkeypatch):
    def environment(*changes):
        spec = compiled(load_recipe("digits-vae", changes), tmp_path)[0]
        env = spec["deploymentSpec"]["executors"]["exec-publish"]["container"].get("env", [])
        return {one["name"]: one["value"] for one in env}

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio.example:9000")
    monkeypatch.setenv("MOZART_ARTIFACTS", "minio://mozart/artifacts")
    sent = {
        "MOZART_ARTIFACTS": "minio://mozart/artifacts",
        "AWS_ENDPOINT_URL_S3": "http://minio.example:9000",
    }
    assert environment() == sent
    assert environment("resources.workspace.root=gs://own/place") == {"MOZART_ARTIFACTS": "gs://own/place"}
    monkeypatch.setenv("MOZART_ARTIFACTS", str(tmp_path))  # a folder of this machine
    assert environment() == {}
    monkeypatch.setenv("MOZART_ARTIFACTS", "ftp://mozart")
    with pytest.raises(ConfigError, match="MOZART_ARTIFACTS 'ftp://mozart': name a folder, s3://"):
        environment()


def test_all_that_a_recipe_asks_for_reaches_its_pods(tmp_path):
    recipe = load_recipe("digits-vae", [f"resources={json.dumps(yaml.safe_load(EVERYTHING))}"])
    spec, platform = compiled(recipe, tmp_path)
    assert spec["defaultPipelineRoot"] == "s3://mozart/artifacts"
    containers = {task: spec["deploymentSpec"]["executors"][f"exec-{task}"]["container"] for task in TASKS}
    for task in TASKS:
        pod = platform[f"exec-{task}"]
        assert containers[task]["image"] == recipe.resources.image
        assert {one["name"]: one["value"] for one in containers[task]["env"]} == {
            "MOZART_HOME": "/mozart",
            "MOZART_ARTIFACTS": "s3://mozart/artifacts",
            "MLFLOW_TRACKING_URI": "http://mlflow.example",
        }
        assert pod["pvcMount"][0]["constant"] == "mozart-data"
        assert pod["securityContext"] == {"runAsUser": "1234", "runAsGroup": "4321", "runAsNonRoot": True}
        assert pod["secretAsEnv"][0]["keyToEnv"] == [
            {"secretKey": "password", "envVar": "AWS_SECRET_ACCESS_KEY"}
        ]
        assert pod["imagePullSecret"][0]["secretName"] == "registry-login"
        assert pod["nodeSelector"]["labels"] == {"pool": "fast" if task == "train" else "cheap"}
    assert containers["train"]["resources"]["accelerator"] == {
        "count": "2",
        "type": "nvidia.com/gpu",
        "resourceCount": "2",
        "resourceType": "nvidia.com/gpu",
    }
    assert "accelerator" not in containers["evaluate"]["resources"]
    train = platform["exec-train"]
    assert train["emptyDirMounts"] == [
        {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "8Gi"}
    ]
    assert train["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert train["activeDeadlineSeconds"] == "36000"
    learning = spec["components"]["comp-condition-3"]["dag"]["tasks"]["train"]
    assert learning["retryPolicy"] == {
        "maxRetryCount": 3,
        "backoffDuration": "10s",
        "backoffFactor": 3.0,
        "backoffMaxDuration": "600s",
    }


NO_RETRY = "resources.every_step.retry.times=0"  # the local runner would wait for minutes between attempts


# -- the compiled pipeline, executed here --------------------------------------------------------------


def run_compiled(folder: Path, *settings: str, run: str = "run-1") -> tuple[dict, str, Path]:
    """Compiles `tiny.yaml`, whose volume is `folder/home`, and runs the YAML: verdict, output, artifacts."""
    recipe = load_recipe(
        str(folder / "tiny.yaml"), [f"resources.workspace={{claim: data, path: {folder}/home}}", *settings]
    )
    compile_to(recipe, folder / "pipeline.yaml")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.pipelines.compiled",
            str(folder / "pipeline.yaml"),
            str(folder / "root"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MOZART_RUN": run},
        capture_output=True,
        text=True,
    )
    (root,) = (folder / "root").iterdir()
    return read_json(root / "finish/verdict/verdict.json"), done.stdout + done.stderr, root


def test_a_refused_run_says_so_at_its_end(tmp_path):
    folder = folder_with_recipe(tmp_path)
    verdict, said, root = run_compiled(folder, "train.batch_size=65536")
    assert verdict["verdict"] == "refused"
    assert "batch" in verdict["reasons"][0]
    assert not (root / "train").exists()
    assert read_json(folder / "home/runs/run-1/verdict.json") == verdict
    assert "refused: tiny" in said


def test_a_failed_run_says_so_at_its_end(tmp_path):
    folder = folder_with_recipe(tmp_path)
    verdict, said, _ = run_compiled(folder, "data={source: 'images:/nowhere/at/all'}", NO_RETRY)
    assert verdict["verdict"] == "failed"
    assert "step 'look': " in verdict["reasons"][0]
    assert "/nowhere/at/all" in verdict["reasons"][0]
    assert "failed: tiny" in said


def names(folder: Path) -> set[str]:
    """The files of an artifact; TensorBoard names its own by the time and the process."""
    files = (path for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name)
    return {path.relative_to(folder).as_posix() for path in files}


@pytest.mark.slow
def test_the_compiled_pipeline_and_the_run_here_make_the_same(tmp_path):
    here, there = folder_with_recipe(tmp_path / "here"), folder_with_recipe(tmp_path / "there")
    assert TINY in (here / "tiny.yaml").read_text("utf-8")
    done = mozart(here, "run", "tiny.yaml", *changes("train.seed=3"))
    assert done.returncode == 0, done.stderr
    verdict, said, root = run_compiled(there, "train.seed=3")
    assert verdict["verdict"] == "published", said
    ours = {step: Path(path) for step, path in facts(here)["artifacts"].items()}
    for step, artifact in (
        ("ingest", "records"),
        ("statistics", "statistics"),
        ("transform", "examples"),
        ("train", "trained"),
        ("evaluate", "evaluation"),
    ):
        assert names(root / step / artifact) == names(ours[step])
    for step, artifact in (("ingest", "records"), ("statistics", "statistics"), ("transform", "examples")):
        mine, theirs = (
            read_json(folder / "manifest.json")["files"] for folder in (ours[step], root / step / artifact)
        )
        assert mine == theirs
    model, other = (
        read_json(folder / "model.json")["digest"] for folder in (ours["train"], root / "train/trained")
    )
    assert model == other
    measured, again = (
        read_json(folder / "evaluation.json") for folder in (ours["evaluate"], root / "evaluate/evaluation")
    )
    assert measured["validation"] == again["validation"]
    release = read_json(root / "publish/release/release.json")
    assert (release["version"], release["champion"]) == (1, True)
    check_bundle(Path(release["bundle"]))
