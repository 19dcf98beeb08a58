"""The interactive page of Figure 2 in a real browser: it renders, it turns, no error, no network.

Headless Chromium opens a copy of the page with a script at its end that drags and looks; what it finds is
read from the page as it stands afterwards.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from experiments.toy.directions import directions
from experiments.toy.figure_2 import interactive_page
from tests.browser import console, found_in, open_page, probe, require_browser

PROBE = probe("""
const look = () => context.getImageData(0, 0, canvas.width, canvas.height).data.slice();
const colours = pixels => { const seen = new Set();
  for (let i = 0; i < pixels.length; i += 4) seen.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]);
  return [...seen]; };
const differing = (one, other) => { let n = 0; for (let i = 0; i < one.length; i += 4)
  n += one[i] !== other[i] || one[i + 1] !== other[i + 1] || one[i + 2] !== other[i + 2]; return n; };
const pointer = (kind, x, y, type) => canvas.dispatchEvent(
  new PointerEvent(kind, { pointerId: 7, clientX: x, clientY: y, pointerType: type, bubbles: true }));
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
found.errors = errors.textContent;
""")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    require_browser()
    folder = tmp_path_factory.mktemp("page")
    page = folder / "page.html"
    page.write_text(interactive_page(directions()).replace("</body>", PROBE), encoding="utf-8")
    dom, log = open_page(page, folder / "profile")
    return found_in(dom, log)


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
    require_browser()
    page = tmp_path / "page.html"
    page.write_text(interactive_page(directions()).replace("choose(state.method);", "choose(undefined_name);"))
    dom, log = open_page(page, tmp_path / "profile")
    assert "undefined_name is not defined" in dom
    assert console(log)


def test_the_page_is_small_and_asks_for_nothing_from_outside() -> None:
    page = interactive_page(directions())
    assert len(page.encode()) < 60_000
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|https?://|@import|fetch\(""", page)
