# Sourced by every script: goes to the project's root and makes the shared virtual environment where it is
# missing or older than the requirements. Progress goes to standard error, so a script's output stays its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer (with its venv module) was not found. Install it, or set PYTHON to it." >&2
  return 1
}

make_environment() {
  local wanted python
  wanted="$(cat requirements.txt requirements-dev.txt | cksum)"
  [ "$(cat .venv/.requirements 2>/dev/null)" = "$wanted" ] && return
  python="$(find_python)"
  echo "Setting up .venv with $("$python" --version); this happens once and takes about a minute." >&2
  "$python" -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-virtualenv \
    -r requirements-dev.txt >&2
  echo "$wanted" >.venv/.requirements
  echo "The environment is ready." >&2
}

# Two scripts started at once must not build the same environment twice; mkdir is the lock every system has.
with_environment() {
  local waited=0
  until mkdir .venv.lock 2>/dev/null; do
    [ "$waited" -eq 0 ] && echo "Waiting for another script to finish setting up .venv ..." >&2
    waited=$((waited + 1))
    if [ "$waited" -gt 600 ]; then
      echo "Still locked after ten minutes: if no other script is setting up, remove .venv.lock." >&2
      return 1
    fi
    sleep 1
  done
  trap 'rmdir .venv.lock 2>/dev/null' EXIT
  make_environment
  rmdir .venv.lock
  trap - EXIT
}

with_environment
export PYTHONPATH="$PWD"
PYTHON_BIN="$PWD/.venv/bin/python"
