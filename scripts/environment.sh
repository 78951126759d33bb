# Sourced by every script: goes to the project's root and makes the shared virtual environment where it is
# missing or older than the requirements. Progress goes to standard error, so a script's output stays its own.
# A script that sets NEEDS=dev gets the packages of the tests and checks too, with NEEDS=browser those of the browser besides.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="$PWD"
# The packages come uncompiled: told to keep no bytecode, every program, so every test's worker, would compile them anew.
unset PYTHONDONTWRITEBYTECODE
PYTHON_BIN="$PWD/.venv/bin/python"

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.14; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer, with its venv module, was not found. Install it, or set PYTHON to it." >&2
  return 1
}

# Becomes Python. Ctrl-C is held back until the program lets it through, as Python itself would answer it with a traceback
# while it loads; where `env` can't (macOS), that may be seen.
run_python() {
  case "$(env --help 2>/dev/null)" in
    *--block-signal*) exec env --block-signal=INT "$PYTHON_BIN" "$@" ;;
    *) exec "$PYTHON_BIN" "$@" ;;
  esac
}

# Whether .venv holds what these files said when it was made: has_packages PART FILES …, as make_environment.py does it.
has_packages() {
  [ "$(cat ".venv/.$1" 2>/dev/null || true)" = "$(cat "${@:2}" | cksum)" ]
}

if ! has_packages local requirements-local.lock || { [ "${NEEDS:-local}" != local ] &&
  ! has_packages dev requirements.txt requirements-local.txt requirements-dev.txt; } || { [ "${NEEDS:-local}" = browser ] &&
  ! has_packages browser requirements-browser.txt; }; then
  BASE_PYTHON="$(find_python)"
  "$BASE_PYTHON" scripts/make_environment.py "${NEEDS:-local}"
fi
