#!/usr/bin/env bash
# Train on Meta-World's MT10 and print the tables.
#   bash scripts/run_mt10.sh                 30,000 steps of three easy tasks, then every row of the table through a short
#                                            run on all ten: one seed, under 20 minutes on two CPU cores
#   bash scripts/run_mt10.sh preset=paper    the paper's protocol: 2 million steps, ten seeds a row; resumable
# Further arguments (row=cagrad,nash_mtl seed=0,1 profile=mt10-plus ...) are passed to experiments.mt10.train.
set -euo pipefail
source "$(dirname "$0")/environment.sh"
source scripts/sweep.sh
case " $* " in
*" preset="*) sweep experiments.mt10.train "$@" ;;
*)
  sweep experiments.mt10.train preset=easy "$@"
  sweep experiments.mt10.train preset=quick "$@"
  ;;
esac
"$python" -m experiments.report benchmark=mt10
