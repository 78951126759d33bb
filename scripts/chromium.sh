# Sourced by scripts/test: some tests open the console, or another frontend, in a real browser. Installed on Debian where it may
# be; elsewhere those are left out, which is said here.
if ! command -v chromium >/dev/null 2>&1; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
    echo "Installing the Chromium browser ..." >&2
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2 ||
      echo "Chromium could not be installed: the tests in a browser are left out." >&2
  else
    echo "Chromium is not installed (Debian: sudo apt-get install chromium): the tests in a browser are left out." >&2
  fi
fi
