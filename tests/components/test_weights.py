"""Fetching weights from a server on loopback that cuts off, lies, dawdles and leads astray."""

import hashlib
import http.server
import os
import resource
import shutil
import threading
import time
from pathlib import Path

import pytest

from components.errors import ConfigError, DataError, IntegrityError, ResourceError
from components.weights import PUBLISHED, fetch, place

CONTENT = bytes(range(256)) * 4096 + b"the end"  # a megabyte and a bit
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers as the path says, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        asked_for = self.headers.get("Range")
        self.server.asked.append((self.path, asked_for))
        start = int(asked_for.split("=")[1].rstrip("-")) if asked_for else 0
        if self.path.startswith("/redirect?"):
            self.send_response(302)
            self.send_header("Location", self.path.split("?", 1)[1])
            self.end_headers()
        elif self.path == "/missing.pth":
            self.send_error(404)
        elif self.path == "/busy-once.pth" and len(self.server.asked) == 1:
            self.send_error(503)
        elif self.path == "/whole-only.pth":
            self.answer(200, CONTENT)
        elif start >= len(CONTENT):
            self.send_error(416)
        else:
            self.answer(206 if start else 200, CONTENT[start:], start)

    def answer(self, status, content, start=0):
        self.send_response(status)
        if self.path != "/no-length.pth":
            self.send_header("Content-Length", str(len(content)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if self.path == "/cut-once.pth" and len(self.server.asked) == 1:
            content = content[:400_000]
        elif self.path == "/cut.pth":
            content = content[:1000]
        elif self.path == "/stalled.pth":
            self.wfile.write(content[:1000])
            time.sleep(1)
            return
        elif self.path == "/slow.pth":
            for i in range(0, len(content), 2**18):
                self.wfile.write(content[i : i + 2**18])
                time.sleep(0.02)
            return
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def names(folder):
    return {file.name for file in folder.iterdir() if not file.name.endswith(".lock")}


@pytest.mark.parametrize("path", ["/weights.pth", "/no-length.pth", "/slow.pth", "/busy-once.pth"])
def test_a_download_is_kept_and_not_made_twice(server, tmp_path, path):
    told = []
    found = fetch(server.url(path), SHA256, tmp_path / "cache", progress=lambda *n: told.append(n))
    assert found.read_bytes() == CONTENT
    assert names(found.parent) == {found.name} == {f"{SHA256[:16]}-{path[1:]}"}
    assert told[-1] == (len(CONTENT), None if path == "/no-length.pth" else len(CONTENT))
    count = len(server.asked)
    assert fetch(server.url(path), SHA256, tmp_path / "cache") == found
    assert len(server.asked) == count


def test_a_connection_that_is_cut_is_taken_up_where_it_broke(server, tmp_path):
    found = fetch(server.url("/cut-once.pth"), SHA256, tmp_path)
    assert found.read_bytes() == CONTENT
    assert server.asked == [("/cut-once.pth", None), ("/cut-once.pth", "bytes=400000-")]


def test_a_part_of_an_earlier_run_is_completed(server, tmp_path):
    kept = place(server.url("/weights.pth"), SHA256, tmp_path)
    kept.with_name(kept.name + ".part").write_bytes(CONTENT[:5000])
    assert fetch(server.url("/weights.pth"), SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/weights.pth", "bytes=5000-")]


@pytest.mark.parametrize("path", ["/weights.pth", "/whole-only.pth"])
@pytest.mark.parametrize("length", [5000, len(CONTENT), len(CONTENT) + 5])
def test_a_part_of_another_file_is_fetched_anew(server, tmp_path, path, length):
    kept = place(server.url(path), SHA256, tmp_path)
    kept.with_name(kept.name + ".part").write_bytes(b"x" * length)
    assert fetch(server.url(path), SHA256, tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == {kept.name}


def test_a_damaged_file_in_the_cache_is_replaced(server, tmp_path):
    kept = place(server.url("/weights.pth"), SHA256, tmp_path)
    kept.write_bytes(CONTENT[:-1] + b"?")
    assert fetch(server.url("/weights.pth"), SHA256, tmp_path).read_bytes() == CONTENT


def test_one_that_is_always_cut_says_how_far_it_came(server, tmp_path):
    whole = rf"ended after 3000 of {len(CONTENT)} bytes; without a network, fetch the file elsewhere"
    with pytest.raises(DataError, match=whole):
        fetch(server.url("/cut.pth"), SHA256, tmp_path)
    assert len(server.asked) == 3
    assert all(name.endswith(".part") for name in names(tmp_path))


def test_another_file_is_refused_and_removed(server, tmp_path):
    other = hashlib.sha256(b"what was meant").hexdigest()
    with pytest.raises(IntegrityError, match=f"SHA-256 {SHA256}, not {other}; what was fetched is removed"):
        fetch(server.url("/weights.pth"), other, tmp_path)
    assert not names(tmp_path)


def test_a_missing_file_is_said_once(server, tmp_path):
    with pytest.raises(DataError, match="the server says 404"):
        fetch(server.url("/missing.pth"), SHA256, tmp_path)
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_is_given_up(server, tmp_path):
    with pytest.raises(DataError, match="cannot be had: timed out"):
        fetch(server.url("/stalled.pth"), SHA256, tmp_path, seconds=0.1)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "gopher://x"])
def test_it_is_not_led_away_from_http(server, tmp_path, target):
    with pytest.raises(DataError, match="leads on to"):
        fetch(server.url(f"/redirect?{target}"), SHA256, tmp_path)
    assert not names(tmp_path)


def test_it_follows_a_redirect_within_http(server, tmp_path):
    for target in ("/weights.pth", server.url("/weights.pth")):
        assert fetch(server.url(f"/redirect?{target}"), SHA256, tmp_path).read_bytes() == CONTENT


def test_offline_it_says_what_to_fetch_and_where_from(tmp_path):
    vgg = PUBLISHED["vgg16"]
    told = f"553 MB, from {vgg.address} elsewhere .SHA-256 {vgg.sha256}. and give its path instead"
    with pytest.raises(DataError, match=told):
        fetch("http://127.0.0.1:9/vgg16-397923af.pth", vgg.sha256, tmp_path)


def test_a_disk_that_has_no_room_for_it_is_said_before_it_is_full(server, tmp_path, monkeypatch):
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(ResourceError, match=r"is full: 0.001 MB are free, and .* needs more"):
        fetch(server.url("/weights.pth"), SHA256, tmp_path)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_said(server, tmp_path):
    kept = place(server.url("/no-length.pth"), SHA256, tmp_path)
    kept.with_name(kept.name + ".part").symlink_to("/dev/full")
    with pytest.raises(ResourceError, match=r"is full: .* are free"):
        fetch(server.url("/no-length.pth"), SHA256, tmp_path)


def test_a_write_that_fails_half_way_is_said_and_made_good_later(server, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(ResourceError, match=r"cannot be kept in .*: File too large"):
            fetch(server.url("/no-length.pth"), SHA256, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert fetch(server.url("/no-length.pth"), SHA256, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ("/no-length.pth", "bytes=500000-")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(server, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ResourceError, match="cannot be kept"):
        fetch(server.url("/weights.pth"), SHA256, tmp_path / "cache")


def test_a_cache_that_is_a_file_is_said(server, tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(ResourceError, match="cannot be kept"):
        fetch(server.url("/weights.pth"), SHA256, tmp_path / "cache")


def test_a_file_of_this_machine_is_used_where_it_lies(tmp_path):
    path = tmp_path / "my weights.pth"
    path.write_bytes(CONTENT)
    for source in (path, str(path), path.as_uri()):
        assert fetch(source, SHA256, tmp_path / "cache") == path
    assert not (tmp_path / "cache").exists()
    with pytest.raises(IntegrityError, match=f"SHA-256 {SHA256}, not {'0' * 64}"):
        fetch(path, "0" * 64, tmp_path)
    assert path.exists()  # the user's file is never removed
    with pytest.raises(DataError, match="there is no weight file"):
        fetch(tmp_path / "none.pth", SHA256, tmp_path)


@pytest.mark.parametrize("source", ["ftp://host/x.pth", "s3://bucket/x.pth", "data://x"])
def test_other_addresses_are_refused(source, tmp_path):
    with pytest.raises(ConfigError, match="a path, file://, http:// or https://"):
        fetch(source, SHA256, tmp_path)


@pytest.mark.parametrize("digest", ["", "6726825d", SHA256.upper(), SHA256 + "0"])
def test_a_digest_is_asked_for(digest, tmp_path):
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        fetch(tmp_path / "x", digest, tmp_path)
