"""The report's page in a real browser, clicked through: sorting, filter, hovering, dark and light, a phone."""

from __future__ import annotations

import csv
import re
from html import escape
from pathlib import Path
from typing import Any

import pytest

from tests.browser import console, found_in, open_page, probe, require_browser
from tests.common.made_up import all_metrics, record, report, with_epochs, write, write_single_tasks

METHODS = {"ls": (2.0, 2.5, 3.0), "cagrad": (1.5, 1.25, 4.0), "nash_mtl": (1.0, 3.25, 1.5)}

PROBE = probe("""
const table = all("table").find(one => one.querySelector("tbody.own tr[data-method=CAGrad]"));
const rows = selector => all(selector, table);
const names = rows => rows.map(row => row.dataset.method);
const methods = () => names(rows("tbody.own tr:not(.title)"));
const below = () => names(rows("tbody:not(.own) tr:not(.title)"));
const head = name => all("thead button", table).find(button => button.textContent.startsWith(name));
const shown = () => names(rows("tbody tr:not(.title)").filter(row => row.checkVisibility()));
const type = text => { const field = document.getElementById("filter"); field.value = text;
  field.dispatchEvent(new Event("input")); };
found.sections = document.querySelectorAll("section").length;
found.headings = all("h2").map(heading => heading.textContent);
found.warnings = all(".warn").length;
found.marked = all("tbody.own td.best", table).map(cell => cell.textContent.trim());
found.before = methods();
head("mu").click();
found.ascending = methods();
found.state = head("mu").closest("th").getAttribute("aria-sort");
head("mu").click();
found.descending = methods();
head("MR").click();
found.byRank = methods();
found.published = below();
found.sorted = all("th[aria-sort]", table).length;
type("nash");
found.nash = shown();
type("nash, CAGRAD");
found.two = [...new Set(shown())].sort();
type("nothing at all");
found.none = shown();
type("");
document.getElementById("published").click();
found.own = shown();
document.getElementById("published").click();
const cell = table.querySelector("tr[data-method='Nash-MTL'] td[data-seeds]");
found.tipBefore = tip.checkVisibility();
cell.dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
found.tip = tip.textContent; found.tipShown = tip.checkVisibility();
document.querySelector("h1").dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
found.tipAfter = tip.checkVisibility();
cell.focus();
found.tipOnFocus = tip.checkVisibility();
cell.blur();
const look = () => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,
  document.querySelector(".on-light").checkVisibility(), document.querySelector(".on-dark").checkVisibility()];
found.first = look();
document.getElementById("theme").click();
found.second = look();
document.getElementById("theme").click();
found.third = look();
found.pictures = all("img").map(image => image.complete && image.src.startsWith("data:image/svg+xml"));
const loaded = performance.getEntriesByType("resource").map(entry => entry.name);
found.requests = loaded.filter(name => !name.startsWith("data:"));
""")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on made-up (synthetic) runs of three methods and seeds, and on one run of another protocol."""
    root = tmp_path_factory.mktemp("report") / "runs"
    for seed in range(3):
        write_single_tasks(root, seed, all_metrics(1.0))
    for name, values in METHODS.items():
        for seed, value in enumerate(values):
            write(root, with_epochs(record(all_metrics(value), seed=seed, method={"name": name})))
    write(root, record(all_metrics(1.0), trainer__epochs=20))
    return report(root, "pictures=true")


def opened(folder: Path, tmp_path_factory: pytest.TempPathFactory, text: str, *options: str) -> dict[str, Any]:
    require_browser()
    work = tmp_path_factory.mktemp("page")
    page = work / "page.html"
    page.write_text(text, encoding="utf-8")
    return found_in(*open_page(page, work / "profile", *options))


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    text = (folder / "index.html").read_text(encoding="utf-8")
    return opened(folder, tmp_path_factory, text.replace("</body>", PROBE))


def test_every_protocol_has_its_own_labelled_table(page: dict[str, Any]) -> None:
    assert "exception" not in page, page
    assert page["sections"] == len(page["headings"]) == page["warnings"] == 2
    assert all("SYNTHETIC data" in heading for heading in page["headings"])
    assert sorted(re.findall(r"(\d+) epochs", " ".join(page["headings"]))) == ["10", "20"]


def test_a_click_sorts_by_a_column_within_its_section(page: dict[str, Any]) -> None:
    assert page["before"] == ["STL", "LS", "CAGrad", "Nash-MTL"]
    assert page["ascending"] == ["STL", "Nash-MTL", "CAGrad", "LS"]  # by the means 1, 1.917, 2.25, 2.5
    assert page["state"] == "ascending"
    assert page["descending"] == ["LS", "CAGrad", "Nash-MTL", "STL"]
    assert page["byRank"][-1] == "STL"  # which has no rank
    assert page["published"][:2] == ["Nash-MTL", "SI"]  # by published MR, apart from ours
    assert page["sorted"] == 1


def test_the_filter_keeps_methods_by_name(page: dict[str, Any]) -> None:
    assert page["nash"] == ["Nash-MTL", "Nash-MTL"]  # ours and the published one
    assert page["two"] == ["CAGrad", "Nash-MTL"]
    assert page["none"] == []
    assert sorted(page["own"]) == ["CAGrad", "LS", "Nash-MTL", "STL"]


def test_hovering_and_focus_show_every_seed_and_the_spread(page: dict[str, Any]) -> None:
    assert not page["tipBefore"] and page["tipShown"] and not page["tipAfter"] and page["tipOnFocus"]
    assert page["tip"].splitlines() == [
        "Nash-MTL, mu",
        "seed 0: 1",
        "seed 1: 3.25",
        "seed 2: 1.5",
        "mean 1.91667 ± 1.18",
    ]


def test_the_button_switches_between_light_and_dark(page: dict[str, Any]) -> None:
    assert page["first"] == page["third"] != page["second"]
    assert page["first"][2:] == [True, False] and page["second"][2:] == [False, True]  # the pictures too


def test_the_best_values_are_marked(page: dict[str, Any]) -> None:
    assert page["marked"] and all(text.startswith(("1.9", "1.0", "91.7")) for text in page["marked"])


def test_pictures_are_within_and_nothing_is_asked_for(page: dict[str, Any], folder: Path) -> None:
    assert len(page["pictures"]) == 2 * (6 + 1)  # of three methods, and of one, each light and dark
    assert all(page["pictures"])
    assert page["requests"] == []
    assert console(page["log"]) == []
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)|@import|fetch\(|url\(""", text)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)


def test_a_reader_who_prefers_dark_gets_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    script = probe("found.colour = getComputedStyle(document.body).backgroundColor;")
    dark = opened(
        folder, tmp_path_factory, text.replace("</body>", script), "--blink-settings=preferredColorScheme=0"
    )
    light = opened(folder, tmp_path_factory, text.replace("</body>", script))
    brightness = {name: sum(map(int, re.findall(r"\d+", one["colour"]))) for name, one in (("d", dark), ("l", light))}
    assert brightness["d"] < 120 < 600 < brightness["l"]


def test_a_phone_shows_it_without_scrolling_sideways(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a frame as wide as a phone, since the browser's own window has a smallest width."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    script = """
const phone = document.querySelector("iframe").contentWindow, root = phone.document.documentElement;
found.width = phone.innerWidth; found.page = root.scrollWidth;
const tables = [...phone.document.querySelectorAll(".wide")];
found.table = tables[0].scrollWidth; found.box = tables[0].clientWidth;
found.tables = tables.map(box => getComputedStyle(box).overflowX);
const cell = phone.document.querySelector(".own tr[data-method='Nash-MTL'] td:nth-last-child(2)");
cell.dispatchEvent(new phone.MouseEvent("mouseover", { bubbles: true }));
const tip = phone.document.getElementById("tip").getBoundingClientRect();
found.tip = [tip.left, tip.right, tip.width];
found.pageWithTip = root.scrollWidth;
"""
    frame = f'<iframe width="380" height="800" style="border:0" srcdoc="{escape(text)}"></iframe>'
    waiting = (
        probe(script)
        .replace("try {", "onload = () => { try {")
        .replace("report();\n</script>", "report(); };\n</script>")
    )
    phone = opened(folder, tmp_path_factory, f"<!doctype html><body>{frame}{waiting}")
    assert "exception" not in phone, phone
    assert phone["width"] == 380
    assert phone["page"] <= 380 and phone["pageWithTip"] <= 380
    assert phone["table"] > phone["box"] and set(phone["tables"]) == {"auto"}  # the table scrolls in its own box
    assert phone["tip"][0] >= 0 and phone["tip"][1] <= 380 and phone["tip"][2] > 50
    assert console(phone["log"]) == []


def test_an_error_of_the_page_would_be_seen(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = (
        (folder / "index.html").read_text(encoding="utf-8").replace('getElementById("filter")', 'getElementById("x")')
    )
    broken = opened(folder, tmp_path_factory, text.replace("</body>", probe("found.done = true;")))
    assert console(broken["log"])


def test_the_page_says_which_records_went_in(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    with open(next(path for path in folder.glob("*.csv") if path.stem != "runs"), newline="") as file:
        assert len(list(csv.DictReader(file))) > 3
    names = re.findall(r"<td>((?:ls|cagrad|nash_mtl|stl)[\w-]*-seed\d-\w+)</td>", text)
    assert len(names) == len(set(names)) == 3 * 11 + 3 * 3 + 1
    assert "made-up (SYNTHETIC)" in text


def test_markup_in_a_record_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    entry = record(all_metrics(1.0), data={"source": "<script>alert(1)</script>"})
    write(tmp_path / "runs", entry)
    text = (report(tmp_path / "runs") / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in text and "<script>alert" not in text
