#!/usr/bin/env bash
# Look the pinned requirements up among the known vulnerabilities (pip-audit; needs the network).
#   status 0: none is known; or, and then the line says NOT DONE, the database cannot be reached from here
#   status 1: some are known; they are listed with the versions that mend them
set -euo pipefail
source "$(dirname "$0")/environment.sh"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
timeout 120 "$python" -m pip_audit --requirement requirements.txt --no-deps --disable-pip --progress-spinner off \
  --format json >"$report" 2>/dev/null || true # its status does not tell a finding from a missing network
exec "$python" -m reliability.audit "$report"
