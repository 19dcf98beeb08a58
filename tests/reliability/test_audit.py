"""What an audit's report comes to: findings fail, an audit that could not be done says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reliability.audit import ACCEPTED, summary

FOUND = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"], "aliases": ["GHSA-1"]}]}
CLEAN = {"name": "b", "version": "2", "vulns": []}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found"}


def of(*packages: dict[str, Any]) -> tuple[int, list[str]]:
    return summary(json.dumps({"dependencies": packages}))


def test_a_finding_fails_and_names_the_remedy() -> None:
    status, lines = of(FOUND, CLEAN)
    assert status == 1 and lines[0] == "audit: a 1: CVE-1, mended in 1.1"


def test_an_accepted_finding_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACCEPTED, "GHSA-1", "made up")
    assert of(FOUND, UNKNOWN) == (0, ["audit: no known vulnerability in 1 of 2 requirements looked up."])


@pytest.mark.parametrize("report", ["", "no JSON", "[]", "{}"])
def test_an_audit_that_broke_off_says_so(report: str) -> None:
    status, (line,) = summary(report)
    assert status == 0 and "NOT DONE" in line


def test_a_database_that_knows_nothing_says_so() -> None:
    status, (line,) = of(UNKNOWN, UNKNOWN)
    assert status == 0 and "NOT DONE" in line and "2 requirements" in line
