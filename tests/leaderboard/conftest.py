"""Records to test with, and a real headless Chromium that is spoken to over its debugging pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixpro_bench.leaderboard import Record

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, "")}
METRICS = {"pretrain": {"top1": 90.0}, "det": {"coco/bbox_mAP": 0.4}, "seg": {"mIoU": 50.0}}


def make_record(stage: str = "pretrain", method: str = "mixpro", seed: int = 0, **changes: Any) -> Record:
    """Return a Record of one run; transfers belong to the pretraining of the same method and seed."""
    provenance: dict[str, Any] = {"commit": "c", "data_fingerprint": f"data-{stage}"}
    if stage == "pretrain":
        provenance["checkpoint_sha256"] = f"{method}{seed}"
    elif method != "scratch":
        provenance["upstream_sha256"] = f"{method}{seed}"
        provenance["load_audit"] = {"matched": 8, "missing": 0, "unexpected": 0, "total": 8, "share": 1.0}
    fields = {
        "stage": stage,
        "method": {"name": method, "preset": method},
        "backbone": "vit",
        "protocol": {"name": f"p-{stage}", "version": 1},
        "recipe_hash": f"recipe-{stage}",
        "pretrain_seed": None if method == "scratch" else seed,
        "seed": seed,
        "metrics": METRICS.get(stage, {}),
        "cost": {"wall_s": 120.0, "train_s": 100.0, "images_per_s": 50.0},
        "provenance": provenance | changes.pop("provenance", {}),
    }
    return Record(**(fields | changes))


@pytest.fixture(scope="session")
def make() -> Callable[..., Record]:
    """`make_record`."""
    return make_record


@pytest.fixture(scope="session")
def chain() -> Callable[..., list[Record]]:
    """Return a function that makes the three Records of one method and seed."""

    def records(method: str = "mixpro", seed: int = 0, **changes: Any) -> list[Record]:
        return [make_record(stage, method, seed, **changes) for stage in ("pretrain", "det", "seg")]

    return records


class Chromium:
    """One browser with one page, which collects every error it reports and every address it asks for."""

    def __init__(self, program: str, profile: Path):
        down, self.write = os.pipe()
        self.read, up = os.pipe()
        # Chromium takes commands on file descriptor 3 and answers on 4, each message ended by a zero byte.
        command = ["bash", "-c", f'exec "$@" 3<&{down} 4>&{up}', "bash", program, *FLAGS, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [*command, "about:blank"], pass_fds=(down, up), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(down)
        os.close(up)
        self.watch = threading.Timer(0, lambda: None)
        self.patience(60)
        self.rest, self.number, self.session = b"", 0, None
        self.errors: list[str] = []
        self.requests: list[str] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")

    def patience(self, seconds: float) -> None:
        """End the browser if this is not called again in time: one that hangs would be waited for without end."""
        self.watch.cancel()
        self.watch = threading.Timer(seconds, self.process.kill)
        self.watch.daemon = True
        self.watch.start()

    def close(self) -> None:
        self.watch.cancel()
        self.process.terminate()
        self.process.wait(30)
        os.close(self.read)
        os.close(self.write)

    def call(self, method: str, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                block = os.read(self.read, 1 << 20)
                assert block, f"Chromium ended during {method}"
                self.rest += block
            line, _, self.rest = self.rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.note(answer)

    def note(self, event) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.errors.append(json.dumps(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(params["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.errors.append(f"dialog: {params['message']}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    def js(self, expression: str):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        self.patience(120)
        self.errors.clear()
        self.requests.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.until("document.documentElement?.dataset.ready === 'yes'")
        self.painted()

    def until(self, condition: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not self.js(condition):
            assert time.monotonic() < end, f"not within {seconds} s: {condition}; {self.errors}"
            time.sleep(0.05)

    def filtering(self, words: list[str]) -> list[float]:
        """Type each of ``words`` into the search and return the milliseconds until that is painted."""
        return [
            self.js(
                "new Promise((done) => { const node = document.getElementById('text'); const start = performance.now();"
                f" node.value = {json.dumps(word)}; node.dispatchEvent(new Event('input', {{bubbles: true}}));"
                " requestAnimationFrame(() => setTimeout(() => done(performance.now() - start))); })"
            )
            for word in words
        ]

    def press(self, key: str) -> None:
        code, text = KEYS[key]
        what = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **what, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    def painted(self) -> None:
        """Wait until what there is has been painted: what is clicked before that is lost."""
        self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def click(self, selector: str) -> None:
        node = f"document.querySelector({json.dumps(selector)})"
        self.js(f"{node}.scrollIntoView({{block: 'center'}})")
        self.painted()
        box = self.js(
            f"(() => {{ const box = {node}.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def screenshot(self, path: Path, width: int) -> None:
        """Take a picture of the whole page, in a window as high as itself: what is out of sight is not painted."""
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        for _ in range(2):
            height = self.js("document.documentElement.scrollHeight")
            self.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
            )
            time.sleep(0.3)
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


def chromium() -> str | None:
    """Return the browser's program, None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def shared_browser(tmp_path_factory):
    program = chromium()
    if not program:
        pytest.skip("no chromium is installed: apt-get install chromium")
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(shared_browser):
    """A browser; while a test has it, it must answer within two minutes."""
    shared_browser.patience(120)
    yield shared_browser
    shared_browser.watch.cancel()
