"""Pages opened in headless Chromium: what a script at the page's end finds, and what the browser logs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)


def require_browser() -> None:
    if BROWSER is None:
        pytest.skip(f"no browser to open the page with: none of {', '.join(BROWSERS)} is installed")


def open_page(path: Path, profile: Path, *options: str) -> tuple[str, str]:
    """The page's DOM after its scripts ran, and what the browser wrote to its log."""
    assert BROWSER is not None
    finished = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            f"--user-data-dir={profile}",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            "--window-size=1000,900",
            *options,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return finished.stdout, finished.stderr


def console(log: str) -> list[str]:
    """What the page wrote to the browser's console, without a hint on a probe's own way of reading pixels."""
    return [line for line in log.splitlines() if "CONSOLE" in line and "willReadFrequently" not in line]


def probe(script: str) -> str:
    """A script for a page's end: statements that fill the object ``found``; an exception is found as well."""
    return f"""
<script>
const found = {{}};
const report = () => {{
  const element = document.createElement("script");
  element.type = "application/json"; element.id = "report"; element.textContent = JSON.stringify(found);
  document.body.append(element);
}};
try {{
{script}
}} catch (error) {{ found.exception = String(error); }}
report();
</script>
</body>"""


def found_in(dom: str, log: str) -> dict[str, Any]:
    """What the probe wrote into the page."""
    match = re.search(r'<script type="application/json" id="report">(.*?)</script>', dom, flags=re.DOTALL)
    assert match, f"the page's scripts did not run to their end:\n{log}"
    return {**json.loads(unescape(match[1])), "log": log}
