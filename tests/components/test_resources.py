"""The `resources:` block: what each step is given, and one sentence for each thing that cannot be meant."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import ConfigError
from components.resources import STEPS, ResourceSettings, amount, check_image
from pipelines.recipe import Recipe, load_recipe

DIGEST = "sha256:" + "0" * 64


def refused(change: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_recipe("digits-vae", [change])
    return str(caught.value).removeprefix("recipe 'digits-vae': ")


def test_a_step_takes_its_own_keys_else_those_of_every_step_else_the_defaults():
    resources = ResourceSettings.parse(
        {
            "every_step": {"cpu_limit": "2", "retry": {"times": 1}},
            "steps": {"train": {"gpus": 2, "memory_limit": "16Gi", "retry": {"times": 0}}},
        }
    )
    train, ingest = resources.of("train"), resources.of("ingest")
    assert (train.gpus, train.memory_limit, train.cpu_limit, train.retry.times) == (2, "16Gi", "2", 0)
    assert (ingest.gpus, ingest.memory_limit, ingest.cpu_limit, ingest.retry.times) == (0, "8Gi", "2", 1)
    assert [resources.of(step).timeout_minutes for step in ("ingest", "train", "evaluate")] == [
        120,
        1440,
        480,
    ]
    brief = ResourceSettings.parse({"every_step": {"timeout_minutes": 5}})
    assert {brief.of(step).timeout_minutes for step in STEPS} == {5}


def test_it_survives_the_recipes_json():
    recipe = load_recipe(
        "digits-vae", ["resources={every_step: {cpu_limit: '2'}, steps: {train: {gpus: 1}}}"]
    )
    assert Recipe.parse(recipe.as_json()).resources == recipe.resources
    assert recipe.resources.of("train").cpu_limit == "2"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("resources.imge=a:1", "unknown key 'resources.imge' — did you mean 'image'?"),
        ("resources.image=mozart:latest", "names whatever is newest on the day of the run"),
        ("resources.image=mozart", "names whatever is newest on the day of the run"),
        ("resources.image='a b'", "is no name of a container image"),
        ("resources.steps={trian: {gpus: 1}}", "there is no step 'trian' — did you mean 'train'?"),
        (
            "resources.steps={train: {gpu: 1}}",
            "unknown key 'resources.steps.train.gpu' — did you mean 'gpus'?",
        ),
        ("resources.steps={ingest: {gpus: 1}}", "step 'ingest' computes on no accelerator"),
        ("resources.every_step.gpus=1", "step 'ingest' computes on no accelerator"),
        ("resources.every_step.cpu_limit='0.5'", "cpu_request 1 is above cpu_limit 0.5"),
        ("resources.steps={train: {memory_limit: 1Gi}}", "step 'train': memory_request 2Gi is above"),
        ("resources.every_step.memory_limit=8GB", "'8GB' is not allowed: most memory, e.g. 8Gi"),
        ("resources.every_step.cpu_limit=2", "2 is given where the recipe needs: text"),
        ("resources.every_step.timeout_minutes=0", "0 is below the smallest value 1"),
        ("resources.every_step.retry.times=21", "21 is above the largest value 20"),
        ("resources.every_step.node_selector={'a b': c}", "'a b: c' is no label of Kubernetes"),
        ("resources.every_step.tolerations=[{}]", "a toleration without a key is {operator: Exists}"),
        ("resources.every_step.tolerations=[{key: a, operator: Exists, value: b}]", "looks at no value"),
        ("resources.every_step.tolerations=[{key: a, effect: Never}]", "'Never' is not allowed"),
        ("resources.user=0", "0 is below the smallest value 1"),
        ("resources.workspace.claim=Data", "'Data' is not allowed: an existing PersistentVolumeClaim"),
        ("resources.workspace.root=http://bucket", "is not allowed: where artifacts and bundles are kept"),
        (
            "resources.workspace.root='s3://me:key@bucket'",
            "is not allowed: where artifacts and bundles are kept",
        ),
        ("resources.environment={MOZART_HOME: /x}", "MOZART_HOME is set by Mozart itself"),
        ("resources.environment={A B: x}", "'A B' is no name of a variable"),
        ("resources.environment={AWS_SECRET_ACCESS_KEY: x}", "name a Kubernetes secret under"),
        ("resources.environment={MLFLOW_TRACKING_URI: 'http://me:pass@host'}", "looks like a secret"),
        (
            "resources.secrets=[{secret: s, key: k, variable: MOZART_RUN}]",
            "MOZART_RUN is set by Mozart itself",
        ),
        ("resources.secrets=[{secret: s, key: k}]", "resources.secrets.0.variable: missing"),
        (
            "resources={environment: {A: x}, secrets: [{secret: s, key: k, variable: A}]}",
            "the variable A is set twice",
        ),
        ("resources.pull_secrets=['No Name']", "'No Name' is no name of a Kubernetes secret"),
    ],
)
def test_a_mistake_is_one_sentence(change, said):
    sentence = refused(change)
    assert said in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("given", "lasting"),
    [
        ({}, False),
        ({"workspace": {"claim": "data"}}, True),
        ({"workspace": {"root": "s3://bucket"}}, False),
        (
            {"workspace": {"root": "s3://b"}, "environment": {"MLFLOW_TRACKING_URI": "http://mlflow"}},
            True,
        ),
    ],
)
def test_a_registry_outlives_its_pods_on_a_volume_or_at_a_server(given, lasting):
    assert ResourceSettings.parse(given).lasting() is lasting


@pytest.mark.parametrize(
    "image", ["mozart-python:0.1.0", "registry.example:5000/team/mozart:1", f"a@{DIGEST}", f"a:1@{DIGEST}"]
)
def test_an_image_that_stays_what_it_is(image):
    assert check_image(image) == image


@given(st.integers(1, 10**6), st.sampled_from(["m", "", "k", "M", "G", "Ki", "Mi", "Gi", "Ti"]))
@settings(derandomize=True, max_examples=50)
def test_quantities_compare_as_kubernetes_does(number, unit):
    from kubernetes.utils.quantity import parse_quantity

    assert amount(f"{number}{unit}") == pytest.approx(float(parse_quantity(f"{number}{unit}")))
