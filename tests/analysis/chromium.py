"""Opens a page in a headless browser and tells what it asked the network for and what it wrote to the console."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
# What the browser itself asks for is switched off as far as it can be.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    # No name is found, so nothing leaves the machine even where it is asked for.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000"),
)
# Addresses that never leave the machine.
LOCAL = ("file:", "data:", "blob:", "about:", "chrome:", "devtools:")
# How the browser writes `console.error`, an uncaught error, or a resource that could not be loaded.
CONSOLE = re.compile(r":CONSOLE[:(]\d+\)?\] (\".*)")


@dataclass(frozen=True)
class Visit:
    """What a page did.

    Attributes:
        requests: Addresses asked for, those of files and of data inside the page left out.
        console: Lines written to the console.
        html: The page as it stood when its scripts had run.
    """

    requests: list[str]
    console: list[str]
    html: str


def browser() -> str | None:
    """Path of a browser; None where none is installed."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def visit(page: Path, scratch: Path, *flags: str) -> Visit:
    """Open a page from disk in a wide window.

    Args:
        page: An HTML file.
        scratch: A folder of this visit's own: profile and log of the network.
        *flags: Further flags of the browser.
    """
    program = browser()
    assert program is not None
    log = scratch / "net.json"
    places = (f"--user-data-dir={scratch / 'profile'}", f"--log-net-log={log}", "--window-size=1400,2000")
    done = subprocess.run(
        [program, *FLAGS, *flags, *places, "--dump-dom", page.resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return Visit(requests(log), CONSOLE.findall(done.stderr), done.stdout)


def requests(log: Path) -> list[str]:
    """Addresses, or hosts where only a connection was made ready, that the page went to; each once.

    The browser's own requests (its clock, its updates) have no page as their origin and are left out.

    Raises:
        AssertionError: The log has no request at all, not even the browser's, so it could not have shown the page's.
    """
    content = json.loads(log.read_text())
    names = {number: name for name, number in content["constants"]["logEventTypes"].items()}
    seen, found = 0, {}
    for event in content["events"]:
        params: dict[str, Any] = event.get("params") or {}
        address = str(params.get("url") or params.get("host") or "")
        seen += bool(address)
        by_page = names[event["type"]] == "URL_REQUEST_START_JOB" and params.get("initiator") != "not an origin"
        if address and not address.startswith(LOCAL) and (by_page or "file://" in _key(params)):
            found[address] = None
    assert seen, "the browser logged nothing"
    return list(found)


def _key(params: dict[str, Any]) -> str:
    """Which site a connection is kept apart for; that of a page from disk has no host."""
    return str(params.get("network_isolation_key")) + str(params.get("network_anonymization_key"))
