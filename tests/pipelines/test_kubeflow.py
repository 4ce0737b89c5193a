"""The client against a strict stand-in for Kubeflow's API, or against the real one that MOZART_KFP_HOST names.

The stand-in proves the protocol: paths, bodies, names, pages, errors. It proves nothing of a cluster that
schedules and runs; tests marked by the fixture `fake` look into it and are left out against a real server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid

import pytest
import yaml
from typer.testing import CliRunner

from components.cron import Cron
from components.errors import ConfigError, MozartError, ResourceError
from pipelines import schedules
from pipelines.cli import app
from pipelines.cluster import Server, connect, runs, submit, upload
from pipelines.recipe import load_recipe
from tests.pipelines.kfp_server import PREFIX, serve
from tests.pipelines.line import ROOT

REAL = os.environ.get("MOZART_KFP_HOST", "")
CLAIM = "resources.workspace.claim=mozart-data"
SECRET = "resources.secrets=[{secret: s3, key: password, variable: AWS_SECRET_ACCESS_KEY}]"


@pytest.fixture(scope="module")
def stand_in():
    made = serve()
    yield made
    made.close()


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
def fake(stand_in):
    """For tests that look into the stand-in itself."""
    if REAL:
        pytest.skip("this is seen in the stand-in only")
    return stand_in


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


def test_no_secret_of_the_environment_reaches_the_server_or_the_screen(tmp_path):
    guarded = serve(token="canary-0")
    names = (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
    )
    secrets = {name: f"canary-{i}" for i, name in enumerate((*names, "HOOK", "DATABASE_URL"), 1)}
    where = {"MOZART_KFP_HOST": guarded.url, "MOZART_KFP_TOKEN": "canary-0", **secrets}
    changed = ("--set", CLAIM, "--set", "notify.webhook_from=HOOK", "--set", SECRET)
    file = tmp_path / "p.yaml"
    try:
        said = [
            typed("compile", "digits-vae", "-o", str(file), "--workers", "2", *changed, **where),
            typed("submit", "digits-vae", *changed, **where),
            typed("upload", "digits-vae", *changed, **where),
            typed("schedule", "digits-vae", "--cron", "0 3 * * *", *changed, **where),
            typed("runs", **where),
            typed("logs", "nothing", **where),
        ]
    finally:
        guarded.close()
    kept = json.dumps([guarded.state.runs, guarded.state.versions, guarded.state.recurring])
    written = [path.read_text("utf-8") for path in tmp_path.iterdir()]
    assert len(written) == 2
    assert "canary" not in "".join([kept, *written, *map(str, said)])
    assert all("AWS_SECRET_ACCESS_KEY" in text for text in (kept, *written)), "named, not given"


# -- how strict the stand-in is ------------------------------------------------------------------------


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


# -- the commands --------------------------------------------------------------------------------------


def mozart(*arguments, folder, **environment):
    return subprocess.run(
        [sys.executable, "-P", "-m", "pipelines.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


def typed(*arguments, **environment):
    """A command in this process: what it printed, and the error that would end it."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", **environment})
    assert done.exception is None or isinstance(done.exception, MozartError | SystemExit), done.exception
    return done.stdout, done.exception


def test_a_person_submits_lists_and_reads_logs(fake):
    where = {"MOZART_KFP_HOST": fake.url}
    said, error = typed("submit", "digits-vae", "--set", CLAIM, **where)
    assert error is None
    run = said.split("run ")[1].split()[0]
    assert f"{fake.url}/#/runs/details/{run}" in said
    fake.state.runs[run] |= {"state": "FAILED", "run_details": {"task_details": details()}}
    listed, _ = typed("runs", "digits-vae", **where)
    assert run in listed
    assert "FAILED" in listed
    shown, _ = typed("logs", run, **where)
    assert "digits-vae" in shown
    (line,) = [line for line in shown.splitlines() if "train" in line]
    assert "pod-7" in line
    assert "out of memory" in line
    for wrong, sentence in (("trian", "did you mean 'train'?"), ("publish", "has no step 'publish' so far")):
        assert sentence in str(typed("logs", run, wrong, **where)[1])
    assert "has no such thing" in str(typed("logs", "nothing", **where)[1])
    assert "was ever submitted" in str(typed("runs", "unheard-of", **where)[1])


def details():
    return [
        {"display_name": "look", "state": "SUCCEEDED", "child_tasks": [{"pod_name": "pod-1"}]},
        {
            "display_name": "train",
            "state": "FAILED",
            "child_tasks": [{"pod_name": "pod-7"}],
            "error": {"code": 1, "message": "out of memory"},
        },
        {"display_name": "watched", "state": "FAILED"},
    ]


def test_the_words_of_a_pod_come_from_kubernetes(fake, tmp_path):
    import http.server
    import threading

    class Kubernetes(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers.get("Authorization")))
            found = "pod-7" in self.path
            body = b"epoch 1\nepoch 2\n" if found else b"{}"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    cluster = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
    cluster.asked = []
    threading.Thread(target=cluster.serve_forever, daemon=True).start()
    access = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(access), "utf-8")
    where = {"MOZART_KFP_HOST": fake.url, "KUBECONFIG": str(tmp_path / "kubeconfig")}
    try:
        run = typed("submit", "digits-vae", "--set", CLAIM, **where)[0].split("run ")[1].split()[0]
        fake.state.runs[run] |= {"run_details": {"task_details": details()}}
        said = mozart("logs", run, "train", "--lines", "2", folder=tmp_path, **where)
        assert (said.returncode, said.stdout) == (0, "epoch 1\nepoch 2\n"), said.stderr
        ((path, token),) = cluster.asked
        assert path == "/api/v1/namespaces/kubeflow/pods/pod-7/log?container=main&tailLines=2"
        assert token == "Bearer t"
        gone = mozart("logs", run, "look", folder=tmp_path, **where)
        assert (gone.returncode, "it is gone" in gone.stderr) == (4, True)
        none = mozart("logs", run, "look", folder=tmp_path, **{**where, "KUBECONFIG": "/nowhere"})
        assert (none.returncode, "set KUBECONFIG" in none.stderr) == (4, True)
    finally:
        cluster.shutdown()
        cluster.server_close()


def test_a_person_uploads_and_compiles(fake, tmp_path):
    where = {"MOZART_KFP_HOST": fake.url}
    for said in ("Uploaded version one of pipeline faces", "has a version 'one' already"):
        out, error = typed(
            "upload", "digits-vae", "--name", "faces", "--version", "one", "--set", CLAIM, **where
        )
        assert said in out + str(error)
    file = tmp_path / "p.yaml"
    out, error = typed("compile", "digits-vae", "-o", str(file))
    assert (error, file.is_file()) == (None, True)
    assert "is named by its tag" in out
    assert "what is published ends with its pod" in out
    image = f"resources.image=registry.example/mozart-python@sha256:{'0' * 64}"
    out, _ = typed("compile", "digits-vae", "-o", str(file), "--set", CLAIM, "--set", image)
    assert out == f"Wrote {file}.\n"


def test_a_person_schedules(fake):
    where = {"MOZART_KFP_HOST": fake.url}
    said, error = typed("schedule", "digits-dcgan", "--cron", "0 3 * * *", "--set", CLAIM, **where)
    assert error is None
    assert said.startswith(f"Scheduled digits-dcgan at {fake.url}: next ")
    assert said.count("03:00:00 UTC") == 3
    assert "0 0 3 * * *" in typed("schedule", "--list", **where)[0]
    assert typed("schedule", "digits-dcgan", "--pause", **where) == ("Paused digits-dcgan.\n", None)
    assert "DISABLED" in typed("schedule", "--list", **where)[0]
    assert typed("schedule", "digits-dcgan", "--delete", **where) == ("Deleted digits-dcgan.\n", None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("digits-dcgan", "--cron", "0 3 * *"), "4 fields are given"),
        (("digits-dcgan",), "does one thing"),
        (("digits-dcgan", "--pause", "--delete"), "does one thing"),
        (("--cron", "0 3 * * *"), "of which recipe?"),
        (("digits-dcgan", "--cron", "0 3 * * *", "--install"), "belong to --local"),
        (("digits-dcgan", "--cron", "0 3 * * *", "--local", "--fresh"), "belong to a cluster"),
        (("digits-dcgan", "--pause", "--local"), "is for a cluster"),
        (("digits-dcgan", "--cron", "0 3 * * *"), "workspace.claim names no volume"),
    ],
)
def test_what_cannot_be_scheduled_is_one_sentence(fake, arguments, said):
    _, error = typed("schedule", *arguments, MOZART_KFP_HOST=fake.url)
    assert said in str(error)
    assert "\n" not in str(error)
