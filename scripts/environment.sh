# Sourced by the other scripts: makes .venv with the pinned requirements, once, and defines $python.
# PYTHON=... chooses the interpreter (3.10 or later) that the environment is made with.
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.12 python3.11 python3.13 python3.10 python3}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: no Python 3.10 or later found; install one or set PYTHON=/path/to/python." >&2
  return 1
}

python=.venv/bin/python
stamp=.venv/requirements.sha256
wanted=$(sha256sum requirements.txt)
if [[ ! -x $python || $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
  interpreter=$(find_python)
  echo "Installing the requirements into .venv ..." >&2
  [[ -x $python ]] || "$interpreter" -m venv .venv
  # The pip that comes with Python 3.10 tries versions for half an hour where a newer one takes a minute.
  "$python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=24"
  "$python" -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
  echo "$wanted" >"$stamp"
fi
