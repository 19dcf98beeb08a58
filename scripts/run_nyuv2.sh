#!/usr/bin/env bash
# Train the paper's methods on NYUv2 and print the results table.
#   bash scripts/run_nyuv2.sh                  with real data and a GPU the paper's protocol, else the quick preset
#   bash scripts/run_nyuv2.sh preset=paper     the paper's protocol wherever it runs; resumable
#   bash scripts/run_nyuv2.sh data.root=PATH   a store made by scripts/prepare_nyuv2.py (or NYUV2_ROOT, data/nyuv2)
# Without any data it trains on rendered rooms and says so. Further arguments go to experiments.nyuv2.train.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
source scripts/sweep.sh
case " $* " in
  *" preset="*) ;;
  *) set -- "preset=$("$python" -m experiments.nyuv2.preset "$@")" "$@" ;;
esac
sweep experiments.nyuv2.train "$@"
"$python" -m experiments.report benchmark=nyuv2
