"""A run here tells how it ended, and a listener that fails changes nothing of that."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from rich.console import Console

from components.errors import ConfigError
from pipelines.local import run_here
from pipelines.recipe import load_recipe
from tests.pipelines.line import changes, folder_with_recipe, mozart


class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def listener():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.heard, server.status = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_where_artifacts_cannot_go_nothing_begins_and_that_is_told(listener, tmp_path, monkeypatch):
    folder = folder_with_recipe(tmp_path)
    monkeypatch.setenv("MOZART_HOME", str(folder / "home"))
    monkeypatch.setenv("MOZART_ARTIFACTS", "ftp://somewhere/mozart")
    told = [f"notify.webhook=http://127.0.0.1:{listener.server_port}/"]
    with pytest.raises(ConfigError, match="MOZART_ARTIFACTS 'ftp://somewhere/mozart': name a folder, s3://"):
        run_here(load_recipe(str(folder / "tiny.yaml"), told), Console(quiet=True))
    assert not (folder / "home/runs").exists()
    assert [one["verdict"] for one in listener.heard] == ["failed"]


def test_a_refusal_and_a_failure_are_told(listener, tmp_path):
    folder = folder_with_recipe(tmp_path)
    hook = {"HOOK": f"http://127.0.0.1:{listener.server_port}/hunter2-canary"}
    told = changes("notify.webhook_from=HOOK")
    listener.status = 500
    refused = mozart(folder, "run", "tiny.yaml", *told, *changes("train.batch_size=65536"), **hook)
    assert refused.returncode == 3
    assert "the webhook at 127.0.0.1 refused the message with status 500" in refused.stdout
    listener.status = 200
    failed = mozart(folder, "run", "tiny.yaml", *told, *changes("data={source: 'images:/nowhere'}"), **hook)
    assert failed.returncode == 3
    assert [one["verdict"] for one in listener.heard] == ["refused", "failed"]
    first, second = listener.heard
    assert first["run"].startswith("tiny-")
    assert any("batch" in reason for reason in first["reasons"])
    assert (second["run"], second["name"]) == ("before its first step", "tiny")
    assert "/nowhere" in second["text"]
    for done in (refused, failed):
        assert "canary" not in done.stdout + done.stderr
    written = [path for path in (folder / "home").rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2-canary" in path.read_bytes()]
