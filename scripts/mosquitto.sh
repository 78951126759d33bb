# Sourced where the mosquitto broker is needed: installs it on Debian where it is missing, or says how.
# Debian keeps mosquitto in /usr/sbin, which is not on every user's PATH.
export PATH="$PATH:/usr/sbin"
if ! command -v mosquitto >/dev/null 2>&1; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" -eq 0 ]; then
    echo "Installing the mosquitto broker ..." >&2
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mosquitto >&2
  else
    echo "The mosquitto broker is needed: install it (Debian: sudo apt-get install mosquitto) and run again." >&2
    exit 1
  fi
fi
