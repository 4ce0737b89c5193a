"""Notifications against a real listener: what is sent, what is never said, what a fault changes: nothing."""

from __future__ import annotations

import http.server
import json
import sys
import threading

import pytest

from components.errors import ConfigError
from components.notify import NotifySettings, message, notify
from pipelines.recipe import load_recipe

FACTS = {
    "name": "tiny",
    "run": "tiny-1",
    "verdict": "refused",
    "reasons": ["fid 9 is above 1"],
    "finished": "",
}
SECRET = "hunter2-canary"


class Listener(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted; the path says how it answers."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, self.headers["Content-Type"], json.loads(body)))
        if self.path.startswith("/hang-up"):
            self.close_connection = True
            return
        status = int(self.path.split("/")[1])
        self.send_response(status)
        self.send_header("Location", "/200/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.server.heard.append((self.path, None, None))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def listener():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.heard = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(listener, path):
    return f"http://127.0.0.1:{listener.server_port}{path}"


def test_a_webhook_gets_the_facts_and_a_text_for_people(listener):
    listener.heard.clear()
    assert notify(NotifySettings(webhook=address(listener, "/204/hook")), FACTS) == []
    ((path, kind, sent),) = listener.heard
    assert (path, kind) == ("/204/hook", "application/json")
    assert sent == {**FACTS, "text": message(FACTS)}
    assert sent["text"] == "Mozart: tiny was refused (tiny-1)\n- fid 9 is above 1"


def test_only_the_endings_that_were_asked_for_are_told(listener):
    listener.heard.clear()
    to = address(listener, "/200")
    notify(NotifySettings(webhook=to), {**FACTS, "verdict": "published"})
    assert listener.heard == []
    notify(NotifySettings(webhook=to, when=("published",)), {**FACTS, "verdict": "published"})
    notify(NotifySettings(webhook=to), {**FACTS, "verdict": "failed"})
    assert [sent["verdict"] for _, _, sent in listener.heard] == ["published", "failed"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"/500/{SECRET}", "the webhook at 127.0.0.1 refused the message with status 500"),
        (f"/404/{SECRET}", "the webhook at 127.0.0.1 refused the message with status 404"),
        (f"/302/{SECRET}", "the webhook at 127.0.0.1 refused the message with status 302"),
        (f"/hang-up/{SECRET}", "the webhook at 127.0.0.1 did not take the message"),
    ],
)
def test_a_webhook_that_fails_is_one_line_without_its_address(listener, monkeypatch, path, said):
    listener.heard.clear()
    monkeypatch.setenv("HOOK", address(listener, path))
    (line,) = notify(NotifySettings(webhook_from="HOOK"), FACTS)
    assert said in line
    assert SECRET not in line
    assert [one for one in listener.heard if one[2] is None] == [], "a redirect is not followed"


def test_nobody_there_is_one_line(monkeypatch):
    (line,) = notify(NotifySettings(webhook="http://127.0.0.1:9/x"), FACTS)
    assert line == "the webhook at 127.0.0.1 did not take the message: ConnectionRefusedError"
    monkeypatch.delenv("HOOK", raising=False)
    (line,) = notify(NotifySettings(webhook_from="HOOK"), FACTS)
    assert line == "nobody was told: the variable HOOK (notify.webhook_from) is empty"
    monkeypatch.setenv("HOOK", f"file:///{SECRET}")
    (line,) = notify(NotifySettings(webhook_from="HOOK"), FACTS)
    assert "none that can be posted to" in line
    assert SECRET not in line


def test_the_mail_command_reads_the_message_and_no_shell_sees_it(tmp_path):
    out = tmp_path / "mail"
    code = f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())"
    facts = {**FACTS, "reasons": ["$(touch gone)"]}
    assert notify(NotifySettings(email=f'{sys.executable} -c "{code}"'), facts) == []
    assert out.read_text() == "Subject: Mozart: tiny was refused (tiny-1)\n\n- $(touch gone)\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("false", "'false' failed with code 1"),
        ("no-such-mailer x", "'no-such-mailer' cannot be run: No such"),
    ],
)
def test_a_mail_command_that_fails_is_one_line(command, said):
    (line,) = notify(NotifySettings(email=command), FACTS)
    assert said in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("notify.webhook=ftp://host/x", "the address starts with http:// or https://"),
        ("notify.webhook='https://'", "and names a host"),
        ("notify.webhook='http://a:b@host/x'", "use webhook_from"),
        ("notify={webhook: 'http://a', webhook_from: A}", "name the address twice"),
        ("notify.webhook_from='$HOOK'", "is not allowed: the environment variable"),
        ("notify.email='mail \"x'", "is no command: No closing quotation"),
        ("notify.when=[sometimes]", "'sometimes' is not allowed"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence(change, said):
    with pytest.raises(ConfigError) as caught:
        load_recipe("digits-vae", [change])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
