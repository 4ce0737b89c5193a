"""The client against a strict stand-in for Kubeflow's API, or the real one that MOZART_KFP_HOST names.

The stand-in proves the protocol: paths, bodies, names, pages, errors. It proves nothing of a cluster that
schedules and runs; tests marked by the fixture `fake` look into it and are left out against a real server.
"""

from __future__ import annotations

import os
import uuid

import pytest

from components.cron import Cron
from components.errors import ConfigError, ResourceError
from pipelines import schedules
from pipelines.cluster import Server, connect, runs, submit, upload
from pipelines.recipe import load_recipe
from tests.pipelines.kfp_server import serve
from tests.pipelines.kubeflow.real_server import CLAIM, REAL


@pytest.fixture(scope="module")
def server(stand_in):
    if REAL:
        names = ("MOZART_KFP_NAMESPACE", "MOZART_KFP_TOKEN")
        return Server(REAL, *(os.environ.get(name, "") for name in names))
    return Server(stand_in.url)


@pytest.fixture(scope="module")
def client(server):
    return connect(server)


@pytest.fixture
def recipe():
    """A recipe under a name of its own, so that a real server may hold what it likes."""
    return load_recipe("digits-vae", [f"name=test-{uuid.uuid4().hex[:12]}", CLAIM])


# -- runs ----------------------------------------------------------------------------------------------


def test_a_run_is_submitted_and_listed_newest_first(client, server, recipe):
    first, second = (submit(client, server, recipe) for _ in range(2))
    listed = runs(client, server, 10, recipe.name)
    assert [one.run_id for one in listed] == [second.run_id, first.run_id]
    assert all(one.display_name.startswith(recipe.name) for one in listed)
    assert [one.run_id for one in runs(client, server, 1, recipe.name)] == [second.run_id]
    assert second.run_id in {one.run_id for one in runs(client, server, 200)}


def test_a_run_carries_the_pipeline_and_what_kubernetes_is_told(client, server, recipe, fake):
    started = submit(client, server, recipe)
    kept = fake.state.runs[started.run_id]
    assert kept["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == recipe.name
    pods = kept["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-train"]["pvcMount"][0]["constant"] == "mozart-data"


def test_pages_are_followed(client, server, recipe, monkeypatch):
    monkeypatch.setattr("pipelines.cluster.PAGE", 1)
    made = [submit(client, server, recipe).run_id for _ in range(3)]
    assert [one.run_id for one in runs(client, server, 10, recipe.name)] == made[::-1]


def test_a_registry_that_ends_with_its_pod_is_refused(client, server):
    with pytest.raises(ConfigError, match=r"workspace\.claim names no volume"):
        submit(client, server, load_recipe("digits-vae"))


# -- pipelines -----------------------------------------------------------------------------------------


def test_a_pipeline_has_versions_and_the_same_content_is_uploaded_once(client, server, recipe):
    one, new = upload(client, server, recipe, recipe.name)
    again, fresh = upload(client, server, recipe, recipe.name)
    assert (new, fresh) == (True, False)
    assert again.pipeline_version_id == one.pipeline_version_id
    changed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 3})})
    other, new = upload(client, server, changed, recipe.name)
    assert new
    assert other.pipeline_id == one.pipeline_id
    assert other.display_name != one.display_name
    named, _ = upload(client, server, recipe, recipe.name, "2026-11")
    assert named.display_name == "2026-11"
    with pytest.raises(ConfigError, match="has a version '2026-11' already"):
        upload(client, server, changed, recipe.name, "2026-11")


# -- schedules -----------------------------------------------------------------------------------------


def test_a_schedule_is_made_listed_paused_resumed_and_deleted(client, server, recipe):
    cron = Cron.parse("0 3 * * *")
    schedules.create(client, server, recipe, cron)
    try:
        found = schedules.find(client, server, recipe.name)
        assert found.trigger.cron_schedule.cron == "0 0 3 * * *"
        assert (int(found.max_concurrency), found.no_catchup, found.status) == (1, True, "ENABLED")
        with pytest.raises(ConfigError, match="is scheduled already"):
            schedules.create(client, server, recipe, cron)
        schedules.change(client, server, recipe.name, "pause")
        assert schedules.find(client, server, recipe.name).status == "DISABLED"
        schedules.change(client, server, recipe.name, "resume")
        assert schedules.find(client, server, recipe.name).status == "ENABLED"
    finally:
        schedules.change(client, server, recipe.name, "delete")
    with pytest.raises(ConfigError, match="is not scheduled"):
        schedules.find(client, server, recipe.name)


@pytest.mark.parametrize(("fresh", "cached"), [(False, 6), (True, 0)])
def test_a_nightly_run_looks_anew_whatever_is_cached(client, server, recipe, fake, fresh, cached):
    made = schedules.create(client, server, recipe, Cron.parse("0 3 * * *"), fresh=fresh, catch_up=True)
    kept = fake.state.recurring[made.recurring_run_id]
    assert kept["no_catchup"] is False
    spec = kept["pipeline_spec"]["pipeline_spec"]
    tasks = {
        name: task
        for group in (spec["root"], *spec["components"].values())
        for name, task in group.get("dag", {}).get("tasks", {}).items()
        if f"exec-{name}" in spec["deploymentSpec"]["executors"]
    }
    kept_by_cache = [
        name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")
    ]
    assert len(kept_by_cache) == cached
    assert not {"look", "publish", "finish"} & set(kept_by_cache)
    schedules.change(client, server, recipe.name, "delete")


# -- what goes wrong -----------------------------------------------------------------------------------


def test_no_host_and_nobody_there_are_sentences():
    with pytest.raises(ConfigError, match="MOZART_KFP_HOST"):
        connect(Server(""))
    with pytest.raises(ConfigError, match="starts with http"):
        connect(Server("localhost:8080"))
    with pytest.raises(ResourceError, match=r"does not answer .*port-forward"):
        connect(Server("http://127.0.0.1:9"))


def test_a_token_is_sent_and_never_said():
    guarded = serve(multi_user=True, token="right-canary")
    try:
        with pytest.raises(ConfigError, match="status 401") as caught:
            connect(Server(guarded.url, "me", "wrong-canary"))
        assert "canary" not in str(caught.value)
        good = Server(guarded.url, "me", "right-canary")
        assert "canary" not in repr(good)
        client = connect(good)
        named = load_recipe("digits-vae", [CLAIM])
        upload(client, good, named, "digits-vae")
        started = submit(client, good, named)
        assert [one.run_id for one in runs(client, good, 5)] == [started.run_id]
        assert {one["namespace"] for one in guarded.state.experiments.values()} == {"me"}
        assert {one["namespace"] for one in guarded.state.pipelines.values()} == {"me"}
        nowhere = Server(guarded.url, "", "right-canary")
        nobody = connect(nowhere)
        with pytest.raises(ConfigError, match="Namespace is empty"):
            runs(nobody, nowhere, 5)
    finally:
        guarded.close()


def test_another_server_is_told_from_kubeflow(tmp_path):
    import http.server
    import threading

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    other.RequestHandlerClass.log_message = lambda *args: None
    threading.Thread(target=other.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ConfigError, match="has no such thing"):
            connect(Server(f"http://127.0.0.1:{other.server_port}"))
    finally:
        other.shutdown()
        other.server_close()
