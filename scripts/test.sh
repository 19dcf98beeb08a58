#!/usr/bin/env bash
# Make the environment and pass the tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
"$python" -m ruff check .
"$python" -m ruff format --check .
# One thread a test process: on a busy machine the small matrices of the tests wait for each other's threads.
OMP_NUM_THREADS=1 exec "$python" -m pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile "$@"
