#!/usr/bin/env bash
# API pages from the docstrings, into docs/api or the folder given.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
"$python" scripts/make_docs.py "$@"
