"""What ``pip-audit`` found, a line each: ``python -m reliability.audit REPORT.json``, as ``scripts/audit.sh`` does.

``ACCEPTED`` holds the identifiers of vulnerabilities that do not concern this suite, with the reason.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ACCEPTED: dict[str, str] = {}


def summary(report: str) -> tuple[int, list[str]]:
    """Exit status and lines for a report in pip-audit's JSON; an empty one is that of an audit that broke off.

    A package that the database does not know counts as not looked up.
    """
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, ["audit: NOT DONE, the database of vulnerabilities cannot be reached from here."]
    looked_up = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"audit: {package['name']} {package['version']}: {found['id']}, mended in "
        f"{', '.join(found.get('fix_versions') or ['no version yet'])}"
        for package in looked_up
        for found in package["vulns"]
        if not {found["id"], *found.get("aliases", ())} & ACCEPTED.keys()
    ]
    if lines:
        return 1, [*lines, "audit: raise these pins in requirements.txt."]
    if not looked_up:
        return 0, [f"audit: NOT DONE, the database reached from here knows none of {len(packages)} requirements."]
    return 0, [f"audit: no known vulnerability in {len(looked_up)} of {len(packages)} requirements looked up."]


def main() -> None:
    status, lines = summary(Path(sys.argv[1]).read_text())
    print("\n".join(lines))
    raise SystemExit(status)


if __name__ == "__main__":
    main()
