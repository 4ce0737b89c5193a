"""The stand-in for Kubeflow's API is strict: it refuses what Kubeflow does not know."""

from __future__ import annotations

import json
import urllib.request
import uuid

import pytest

from tests.pipelines.kfp_server import PREFIX


def ask(fake, method, path, body=None, kind="application/json"):
    request = urllib.request.Request(
        fake.url + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": kind},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/apis/v1beta1/runs", None, 404, "no such method"),
        ("PUT", "/runs", {}, 501, ""),
        ("DELETE", "/runs", None, 404, "no such method"),
        ("GET", "/runs?nmespace=x", None, 400, "unknown query parameters"),
        ("GET", "/runs?sort_by=name", None, 400, "sort_by"),
        ("GET", "/runs?namespace=me", None, 400, "single-user"),
        ("POST", "/experiments", {"name": "x"}, 400, "unknown field .name"),
        ("POST", "/experiments", {"display_name": 3}, 400, "3 is no str"),
        ("POST", "/experiments", {}, 400, "display_name is required"),
        ("POST", "/runs", {"display_name": "x", "experiment_id": "none"}, 404, "not found"),
        ("POST", "/recurringruns", {"mode": "ON"}, 400, "is none of"),
        ("POST", "/recurringruns", {"trigger": {"cron_schedule": {"crn": ""}}}, 400, "unknown field"),
    ],
)
def test_it_refuses_what_kubeflow_does_not_know(fake, method, path, body, status, said):
    if status == 501:
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(
                urllib.request.Request(fake.url + PREFIX + path, method=method, data=b"{}")
            )
        return
    path = path if path.startswith("/apis") else PREFIX + path
    answer, sentence = ask(fake, method, path, body)
    assert answer == status
    assert said in str(sentence)


def test_it_refuses_a_body_that_is_no_pipeline_and_five_fields(fake):
    _, made = ask(fake, "POST", PREFIX + "/experiments", {"display_name": f"x{uuid.uuid4().hex}"})
    run = {"display_name": "x", "experiment_id": made["experiment_id"]}
    status, said = ask(fake, "POST", PREFIX + "/runs", {**run, "pipeline_spec": {"rot": {}}})
    assert (status, "no pipeline" in said) == (400, True)
    status, said = ask(fake, "POST", PREFIX + "/runs", run)
    assert (status, "either pipeline_spec" in said) == (400, True)
    spec = {"pipelineInfo": {"name": "x"}, "root": {"dag": {"tasks": {"a": {}}}}}
    again = {**run, "pipeline_spec": spec, "max_concurrency": "1"}
    cron = {"trigger": {"cron_schedule": {"cron": "0 3 * * *"}}}
    status, said = ask(fake, "POST", PREFIX + "/recurringruns", {**again, **cron})
    assert (status, "exactly 6 fields" in said) == (400, True)
