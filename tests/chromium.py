"""Headless Chromium for tests of pages, spoken to through the pipe of its DevTools protocol."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from select import select

EXECUTABLE = shutil.which("chromium")

_SECONDS = 60  # for any answer; only there so that a hanging browser cannot hang the tests
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-quic", "--disable-extensions", "--mute-audio"),
    "--remote-debugging-pipe",
)


class Page:
    """One tab. Every event that it ever sent is in ``events``, a dict with method and params."""

    def __init__(self, requests, answers):
        self._requests, self._answers = requests, answers
        self._unread = b""
        self._number = 0
        self._session = None
        self.events = []

    def attach(self):
        """To the browser's first tab, with its network, console and loading reported."""
        tabs = self.call("Target.getTargets")["targetInfos"]
        target = next(tab["targetId"] for tab in tabs if tab["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The result of a method of the protocol; fails where the browser reports an error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def _receive(self):
        """The next message, an answer or an event."""
        while b"\0" not in self._unread:
            ready, _, _ = select([self._answers], [], [], _SECONDS)
            assert ready, f"Chromium said nothing for {_SECONDS} seconds"
            read = os.read(self._answers, 1 << 16)
            assert read, "Chromium has ended"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def happened(self, method):
        """The parameters of all events ``method``, oldest first."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def look(self, width, height=800, scheme="light"):
        """Set the size of the viewport in CSS pixels and the preferred colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, url):
        """Load ``url`` and wait until all of it is there."""
        loaded = len(self.happened("Page.loadEventFired"))
        self.call("Page.navigate", url=url)
        while len(self.happened("Page.loadEventFired")) == loaded:
            self.events.append(self._receive())

    def value(self, expression):
        """What a JavaScript expression is, as JSON has it; fails where it throws."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def requests(self):
        """The addresses that were asked for."""
        return [event["request"]["url"] for event in self.happened("Network.requestWillBeSent")]

    def complaints(self):
        """Errors and warnings of the console, and exceptions."""
        logged = [event["entry"] for event in self.happened("Log.entryAdded")]
        written = self.happened("Runtime.consoleAPICalled")
        return (
            [entry["text"] for entry in logged if entry["level"] in ("error", "warning")]
            + [call["args"] for call in written if call["type"] in ("error", "warning", "assert")]
            + [thrown["exceptionDetails"] for thrown in self.happened("Runtime.exceptionThrown")]
        )


@contextmanager
def browser():
    """A ``Page`` of a new Chromium, which ends with the block."""
    profile = tempfile.mkdtemp(prefix="chromium-")
    theirs_in, requests = os.pipe()
    answers, theirs_out = os.pipe()
    # the protocol's descriptors are 3 and 4; a shell puts them there, whatever they are here
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    command = [EXECUTABLE, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    page = Page(requests, answers)
    try:
        page.attach()
        yield page
        page._session = None
        page.call("Browser.close")
    finally:
        os.close(requests)
        os.close(answers)
        end(process)
        shutil.rmtree(profile, ignore_errors=True)


def end(process):
    """Wait for ``process``; kill it where it does not end by itself."""
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
