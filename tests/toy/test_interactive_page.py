"""The interactive page of Figure 2 in a real browser: it renders, it turns, no error, no network.

Headless Chromium opens a copy of the page with a script at its end that drags and looks; what it finds is
read from the page as it stands afterwards.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from experiments.toy.directions import directions
from experiments.toy.figure_2 import interactive_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)

PROBE = """
<script>
const found = {};
const look = () => context.getImageData(0, 0, canvas.width, canvas.height).data.slice();
const colours = pixels => { const seen = new Set();
  for (let i = 0; i < pixels.length; i += 4) seen.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]);
  return [...seen]; };
const differing = (one, other) => { let n = 0; for (let i = 0; i < one.length; i += 4)
  n += one[i] !== other[i] || one[i + 1] !== other[i + 1] || one[i + 2] !== other[i + 2]; return n; };
const pointer = (kind, x, y, type) => canvas.dispatchEvent(
  new PointerEvent(kind, { pointerId: 7, clientX: x, clientY: y, pointerType: type, bubbles: true }));
try {
  const before = look();
  found.colours = colours(before).length;
  found.has = [0x0072B2, 0xD55E00, 0x000000].map(c => colours(before).includes(c));
  found.azimuth = Number(document.body.dataset.azimuth);
  pointer("pointermove", 300, 300, "mouse");
  found.changedWithoutButton = differing(before, look());
  for (const type of ["mouse", "touch"]) {
    const start = look();
    pointer("pointerdown", 300, 300, type);
    pointer("pointermove", 360, 310, type);
    pointer("pointerup", 360, 310, type);
    found[type] = differing(start, look());
  }
  found.azimuthAfter = Number(document.body.dataset.azimuth);
  const nash = look();
  document.querySelector("#methods button").click();
  found.changedByMethod = differing(nash, look());
  found.chosen = document.querySelector("#methods [aria-pressed=true]").textContent;
  found.rows = document.querySelectorAll("#numbers tr").length;
  found.requests = performance.getEntriesByType("resource").map(entry => entry.name);
} catch (error) { found.exception = String(error); }
found.errors = errors.textContent;
const report = document.createElement("script");
report.type = "application/json"; report.id = "report"; report.textContent = JSON.stringify(found);
document.body.append(report);
</script>
</body>"""


def open_page(path: Path, profile: Path) -> tuple[str, str]:
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
    """What the page wrote to the browser's console, without a hint on the probe's own way of reading pixels."""
    return [line for line in log.splitlines() if "CONSOLE" in line and "willReadFrequently" not in line]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if BROWSER is None:
        pytest.skip(f"no browser to open the page with: none of {', '.join(BROWSERS)} is installed")
    folder = tmp_path_factory.mktemp("page")
    page = folder / "page.html"
    page.write_text(interactive_page(directions()).replace("</body>", PROBE), encoding="utf-8")
    dom, log = open_page(page, folder / "profile")
    match = re.search(r'<script type="application/json" id="report">(.*?)</script>', dom, flags=re.DOTALL)
    assert match, f"the page's scripts did not run to their end:\n{log}"
    return {**json.loads(unescape(match[1])), "log": log}


def test_it_renders(report: dict[str, Any]) -> None:
    assert "exception" not in report, report
    assert report["colours"] > 20  # blended edges included
    assert report["has"] == [True, True, True]  # update, projections, gradients
    assert report["rows"] == 1 + len(directions())


def test_a_drag_by_mouse_or_finger_turns_it(report: dict[str, Any]) -> None:
    assert report["changedWithoutButton"] == 0
    assert report["mouse"] > 1000 and report["touch"] > 1000
    assert report["azimuthAfter"] != report["azimuth"]


def test_a_method_can_be_chosen(report: dict[str, Any]) -> None:
    assert report["chosen"] == "LS"
    assert report["changedByMethod"] > 500


def test_there_is_no_error_and_no_request(report: dict[str, Any]) -> None:
    assert report["errors"] == ""
    assert console(report["log"]) == []
    assert report["requests"] == []


def test_an_error_in_the_page_would_be_seen(tmp_path: Path) -> None:
    if BROWSER is None:
        pytest.skip(f"no browser to open the page with: none of {', '.join(BROWSERS)} is installed")
    page = tmp_path / "page.html"
    page.write_text(interactive_page(directions()).replace("choose(state.method);", "choose(undefined_name);"))
    dom, log = open_page(page, tmp_path / "profile")
    assert "undefined_name is not defined" in dom
    assert console(log)


def test_the_page_is_small_and_asks_for_nothing_from_outside() -> None:
    page = interactive_page(directions())
    assert len(page.encode()) < 60_000
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|https?://|@import|fetch\(""", page)
