"""A cluster's commands as a person types them: submit, runs, logs, upload, compile, schedule."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from components.errors import MozartError
from pipelines.cli import app
from tests.pipelines.kfp_server import serve
from tests.pipelines.kubeflow.real_server import CLAIM
from tests.pipelines.line import ROOT

SECRET = "resources.secrets=[{secret: s3, key: password, variable: AWS_SECRET_ACCESS_KEY}]"


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
