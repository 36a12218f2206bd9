"""A headless Chromium, driven over the DevTools protocol with the standard library alone.

Real mouse and key events reach the page as a person's would; nothing in the page knows of it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PATIENCE_S = 300


def find_chromium() -> str | None:
    """The browser's command, if one is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class _Socket:
    """The client's side of a WebSocket (RFC 6455): whole text messages, masked."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._stream = socket.create_connection((host, port), timeout=PATIENCE_S)
        key = base64.b64encode(os.urandom(16)).decode()
        ask = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        ask += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        self._stream.sendall(ask.encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._stream.recv(4096)
        answer, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise ConnectionError(answer.decode(errors="replace"))

    def send(self, text: str) -> None:
        content = text.encode()
        mask = os.urandom(4)
        size = len(content)
        head = b"\x81" + (
            bytes([0x80 | size])
            if size < 126
            else struct.pack("!BH", 0xFE, size)
            if size < 1 << 16
            else struct.pack("!BQ", 0xFF, size)
        )
        repeated = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(content, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
        self._stream.sendall(head + mask + masked)

    def receive(self) -> str:
        parts = []
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self._take(8))
            content = self._take(size)
            if first & 0x0F in {0, 1}:
                parts.append(content)
            if first & 0x0F == 8:
                raise ConnectionError("the browser closed the connection")
            if first & 0x80 and first & 0x0F in {0, 1}:
                return b"".join(parts).decode()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            more = self._stream.recv(1 << 20)
            if not more:
                raise ConnectionError("the browser closed the connection")
            self._buffer += more
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def close(self) -> None:
        self._stream.close()


@dataclass
class Page:
    """A tab: commands of the protocol, and a person's hands."""

    socket: _Socket
    pid: int
    downloads: Path
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _number: int = 0

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol and its answer; what happened meanwhile is kept."""
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message.get("result", {})
            self._note(message)

    def _note(self, message: Mapping[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        if message.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(
                answer["exceptionDetails"].get("exception", {}).get("description", "error in page")
            )
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Until an expression is true in the page."""
        until = time.monotonic() + PATIENCE_S
        while not self.evaluate(f"Boolean({condition})"):
            if time.monotonic() > until:
                raise TimeoutError(f"{condition} did not come true; errors: {self.errors}")
            time.sleep(0.05)

    def open(self, path: Path) -> None:
        """A file from disk, until it says that it is ready."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("document.documentElement?.dataset.ready === 'yes'")

    def text(self, selector: str) -> str:
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    def mouse(self, kind: str, x: float, y: float, *, held: bool = False) -> None:
        button = "none" if kind == "mouseMoved" and not held else "left"
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=int(held), clickCount=1
        )

    def click(self, selector: str) -> None:
        x, y = self.middle_of(selector)
        self.mouse("mousePressed", x, y, held=True)
        self.mouse("mouseReleased", x, y)

    def middle_of(self, selector: str) -> tuple[float, float]:
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.evaluate(
            f"(() => {{ const b = {box}; return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        )
        return float(x), float(y)

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, steps: int = 12) -> None:
        """Press, move in steps, let go."""
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, held=True)
        for step in range(1, steps + 1):
            x, y = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, held=True)
        self.mouse("mouseReleased", *end)
        self.settle()

    def settle(self) -> None:
        """Until what was asked for is drawn."""
        self.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    def key(self, key: str, *, shift: bool = False) -> None:
        plain = {"Enter": ("\r", 13), "Escape": ("", 27), "Tab": ("", 9)}
        arrows = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        text, code = plain.get(key, ("" if key in arrows else key, arrows.get(key, ord(key[0].upper()))))
        told = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        self.call("Input.dispatchKeyEvent", type="keyDown", **({"text": text} if text else {}), **told)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def type(self, selector: str, text: str) -> None:
        """Choose a field and type into it, in place of what is there."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.evaluate(f"document.querySelector({json.dumps(selector)}).select?.()")
        self.call("Input.insertText", text=text)
        self.evaluate(f"document.querySelector({json.dumps(selector)}).blur()")

    def choose(self, selector: str, value: str) -> None:
        """An option of a list; the events are those that a person's choice causes."""
        self.evaluate(
            f"(() => {{ const list = document.querySelector({json.dumps(selector)}); list.value = "
            f"{json.dumps(value)}; for (const kind of ['input', 'change']) "
            "list.dispatchEvent(new Event(kind, { bubbles: true })); })()"
        )
        self.settle()

    def upload(self, selector: str, file: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file.resolve())])

    def downloaded(self, name: str) -> str:
        """The text of a file that the page handed over; it is taken away, so that the next can be told."""
        file = self.downloads / name
        until = time.monotonic() + PATIENCE_S
        while not file.exists() or list(self.downloads.glob("*.crdownload")):
            if time.monotonic() > until:
                raise TimeoutError(f"{name} was not downloaded; errors: {self.errors}")
            time.sleep(0.05)
        text = file.read_text(encoding="utf-8")
        file.unlink()
        return text

    def screenshot(self, path: Path) -> None:
        self.settle()
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium(*, width: int = 1600, height: int = 1000) -> Iterator[Page]:
    """A browser with one empty tab and a profile of its own, closed at the end."""
    command = find_chromium()
    if command is None:
        raise FileNotFoundError("no chromium on PATH")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile, downloads = Path(folder) / "profile", Path(folder) / "downloads"
        downloads.mkdir()
        process = subprocess.Popen(
            [command, *QUIET, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield _connect(process, profile, downloads, width, height)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _connect(
    process: subprocess.Popen[bytes], profile: Path, downloads: Path, width: int, height: int
) -> Page:
    port = _port_of(process, profile)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S) as answer:
        tab = next(entry for entry in json.load(answer) if entry["type"] == "page")
    page = Page(_Socket("127.0.0.1", port, f"/devtools/page/{tab['id']}"), process.pid, downloads)
    for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
        page.call(f"{domain}.enable")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    return page


def _port_of(process: subprocess.Popen[bytes], profile: Path) -> int:
    told = profile / "DevToolsActivePort"
    until = time.monotonic() + PATIENCE_S
    while not (told.exists() and told.read_text().strip()):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"chromium did not start (exit code {process.poll()})")
        time.sleep(0.05)
    return int(told.read_text().splitlines()[0])
