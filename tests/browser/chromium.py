"""A headless Chromium for the tests, spoken to in the DevTools protocol: what a page shows and complains about."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
"""Seconds to wait for the browser, or for something to appear on a page."""


class Unavailable(Exception):
    """Why there is no browser to test with."""


class Page:
    """One tab.

    Attributes
    ----------
    complaints
        What the page wrote as errors into its console, exceptions that nobody caught, and requests that failed.
    requests
        Every address that was asked for, but those of data in the page itself.
    """

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=PATIENCE, suppress_origin=True)
        self._number = 0
        self._bindings: dict[str, Callable[[str], None]] = {}
        self._loaded = False
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; events that arrive before its answer are noted."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        kind, given = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.complaints.append(str(details.get("exception", details).get("description", details["text"])))
        elif kind == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(part.get("value", part)) for part in given["args"]))
        elif kind == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        elif kind == "Network.requestWillBeSent":
            address = given["request"]["url"]
            if not address.startswith(("data:", "blob:")):
                self.requests.append(address)
        elif kind == "Page.loadEventFired":
            self._loaded = True
        elif kind == "Runtime.bindingCalled":
            self._bindings[given["name"]](given["payload"])

    def open(self, address: str, width: int = 1200, height: int = 900) -> None:
        """Load a page, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.complaints.clear()
        self.requests.clear()
        self._loaded = False
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE
        while not self._loaded:
            assert time.monotonic() < deadline, f"{address} does not load"
            self._note(json.loads(self._socket.recv()))

    def prefer(self, scheme: str) -> None:
        """The colour scheme that a page is told: light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def bind(self, name: str, called: Callable[[str], None]) -> None:
        """A function ``window.NAME(text)`` that calls one here."""
        self._bindings[name] = called
        self.call("Runtime.addBinding", name=name)

    def run(self, script: str) -> Any:
        """The value of an expression (or of the promise that it is) in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true; returns its value."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never true: {script}; complaints: {self.complaints}"
            time.sleep(0.1)
        return value

    def click(self, x: float, y: float, times: int = 1) -> None:
        """Click with the mouse; twice is a double click."""
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def move(self, x: float, y: float) -> None:
        """Move the mouse."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, file: Path) -> None:
        """What is seen, as a PNG file."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def start(folder: Path) -> Iterator[Page]:
    """A browser with a profile of its own in `folder`, and one tab of it.

    Raises
    ------
    Unavailable
        If none is installed.
    """
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        raise Unavailable(f"no {', '.join(NAMES)} on the path")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command += [f"--user-data-dir={folder}", "--no-first-run", "--hide-scrollbars", "about:blank"]
    with open(folder / "browser.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "LANG": "C.UTF-8"})
    try:
        page = Page(_address(folder, process))
        try:
            yield page
        finally:
            with contextlib.suppress(OSError, RuntimeError, websocket.WebSocketException):
                page.call("Browser.close")
            page._socket.close()
    finally:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """The first tab's address in the protocol."""
    from urllib.request import urlopen

    deadline = time.monotonic() + PATIENCE
    port = folder / "DevToolsActivePort"
    while time.monotonic() < deadline and process.poll() is None:
        if port.exists() and (lines := port.read_text().split()):
            with urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                for tab in json.load(answer):
                    if tab["type"] == "page":
                        return str(tab["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise RuntimeError(
        f"the browser did not start: {(folder / 'browser.log').read_text('utf-8', 'replace')[-800:]}"
    )
