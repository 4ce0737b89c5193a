"""A real browser for tests: headless Chromium, driven by keys and clicks over its DevTools."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 60.0  # seconds for anything to happen, on a busy machine
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Backspace": 8, "Enter": 13, "s": 83, "1": 49, "2": 50}


class Page:
    """One page of a browser, and what it asked of the network, complained of or downloaded."""

    def __init__(self, socket: Any, profile: Path, downloads: Path) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.profile, self.downloads = profile, downloads
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    def send(self, method: str, **given: Any) -> dict[str, Any]:
        """A command of the DevTools protocol and its result; what happens meanwhile is noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said}"
                return said["result"]
            self._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        given = said.get("params", {})
        if said.get("method") == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif said.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(given["entry"]["text"])

    def open(self, file: Path) -> None:
        """Loads a file of this machine and waits for it."""
        self._anew("Page.navigate", url=file.absolute().as_uri())

    def reload(self) -> None:
        """The page once more, as by F5."""
        self._anew("Page.reload")

    def _anew(self, method: str, **given: Any) -> None:
        self.ask("window.before = true")  # what is still there before the new page has come
        self.send(method, **given)
        self.until("window.before === undefined && document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """The value of JavaScript in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits until it is true."""
        end = time.monotonic() + PATIENCE
        while not self.ask(expression):
            assert time.monotonic() < end, f"it never came true that {expression}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """A key, pressed and released as by a hand."""
        about = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
        typed = {"text": "\r" if key == "Enter" else key} if key == "Enter" or len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **about, **typed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, selector: str) -> None:
        """The mouse on the middle of an element, or of what lies over it."""
        self.ask(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        box = self.ask(
            f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect(); "
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def text(self, selector: str) -> str:
        """What can be read in an element; nothing where it is hidden."""
        return str(self.ask(f"document.querySelector({selector!r}).innerText"))

    def sees(self, selector: str) -> bool:
        """Whether an element is there and takes up room."""
        return bool(self.ask(f"Boolean(document.querySelector({selector!r})?.getClientRects().length)"))

    def screenshot(self, file: Path) -> None:
        """A PNG of what is on screen."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def until_on_disk(self, kept: bytes) -> None:
        """Waits until the browser has written it to its local storage, which it does every few seconds."""
        end = time.monotonic() + PATIENCE
        while not any(
            kept in file.read_bytes() for file in self.profile.rglob("Local Storage/leveldb/*.log")
        ):
            assert time.monotonic() < end, "the browser did not write its local storage"
            time.sleep(0.1)

    def downloaded(self) -> Path:
        """The only file that was downloaded, once it is whole."""
        end = time.monotonic() + PATIENCE
        while not (files := [f for f in self.downloads.iterdir() if f.suffix == ".json"]):
            assert time.monotonic() < end, "nothing was downloaded"
            self.ask("1")
            time.sleep(0.05)
        assert len(files) == 1, files
        return files[0]


@contextlib.contextmanager
def browser(folder: Path, *more: str) -> Iterator[Page]:
    """A page of a new browser, whose profile lies in `folder`; skips where there is none to drive."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("chromium is not on this machine")
    websocket = pytest.importorskip("websocket", reason="websocket-client is not installed")
    profile, downloads = folder / "profile", folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run")
    address = ("--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}")
    process = subprocess.Popen(
        [program, *quiet, *address, *more, "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(profile / "DevToolsActivePort", process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [one for one in json.load(answer) if one["type"] == "page"]
        socket = websocket.create_connection(pages[0]["webSocketDebuggerUrl"], timeout=PATIENCE)
        try:
            yield Page(socket, profile, downloads)
        finally:
            socket.close()
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        (profile / "DevToolsActivePort").unlink(missing_ok=True)


def _port(file: Path, process: Any) -> int:
    """The port that the browser wrote down."""
    end = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, "the browser did not start"
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            return int(file.read_text().splitlines()[0])
        assert time.monotonic() < end, "the browser does not say where it listens"
        time.sleep(0.05)
