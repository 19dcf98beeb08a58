#!/usr/bin/env bash
# Train the paper's methods on QM9 and print the results table.
#   bash scripts/run_qm9.sh                 the quick preset: one seed, minutes on two CPU cores
#   bash scripts/run_qm9.sh preset=paper    the paper's protocol: 300 epochs, three seeds; resumable
# Further arguments (method=nash_mtl,ls seed=0,1 trainer.epochs=20 ...) are passed to experiments.qm9.train.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
source scripts/sweep.sh
case " $* " in *" preset="*) ;; *) set -- preset=quick "$@" ;; esac
sweep experiments.qm9.train "$@"
"$python" -m experiments.report benchmark=qm9
