#!/usr/bin/env bash
# Train the paper's methods on Cityscapes and print the results table.
#   bash scripts/run_cityscapes.sh                  with real data and a GPU the paper's protocol, else the quick preset
#   bash scripts/run_cityscapes.sh preset=paper     the paper's protocol wherever it runs; resumable
#   bash scripts/run_cityscapes.sh data.root=PATH   a store of scripts/prepare_cityscapes.py (or CITYSCAPES_ROOT, data/cityscapes)
# Without any data it trains on rendered streets and says so. Further arguments go to experiments.cityscapes.train.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
source scripts/sweep.sh
case " $* " in
  *" preset="*) ;;
  *) set -- "preset=$("$python" -m experiments.cityscapes.preset "$@")" "$@" ;;
esac
sweep experiments.cityscapes.train "$@"
"$python" -m experiments.report benchmark=cityscapes
