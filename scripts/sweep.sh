# Sourced by the run scripts: `sweep MODULE ARGUMENTS...` carries out a multirun and waits for it.
# On a CPU one single-threaded worker a core (at most 4) goes through the same sweep: small networks gain more from that
# than from threads. Every run is claimed by the worker that starts it, so that none is run twice.
sweep() {
  local module=$1 workers=1 status=0 job
  shift
  local command=("$python" -m "$module" --multirun "$@")
  if ! nvidia-smi >/dev/null 2>&1; then
    workers=$(env -u OMP_NUM_THREADS nproc)
    ((workers <= 4)) || workers=4
    command+=(run.threads=1)
  fi
  trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
  for ((job = 1; job < workers; job++)); do
    OMP_NUM_THREADS=1 "${command[@]}" run.progress=false >/dev/null &
  done
  if ((workers > 1)); then export OMP_NUM_THREADS=1; fi
  "${command[@]}" || status=$?
  for job in $(jobs -p); do wait "$job" || status=$?; done
  return "$status"
}
