#!/usr/bin/env bash
# Installs what tests and benches drive beside Hearth into a folder: `install.sh FOLDER hosts|peers`.
# hosts: Node packages and a Python environment for tests, and the browsers where this is root on Debian.
# peers: a Python environment with the libraries that benches compare with.
# What cannot be installed is named; tests that need it then say `skipped:`.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="$1"
kind="$2"
mkdir -p "$folder"

environment() { # NAME REQUIREMENTS
  local stamp="$folder/$1.installed"
  cmp -s "$2" "$stamp" && return
  python3 -m venv "$folder/$1" && "$folder/$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2" \
    && cp "$2" "$stamp" || echo "not installed: $2; needs python3 with venv and its package index" >&2
}

modules() {
  cmp -s "$here/package.json" "$folder/package.installed" && return
  cp "$here/package.json" "$folder/" \
    && (cd "$folder" && npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts) \
    && cp "$here/package.json" "$folder/package.installed" || echo "not installed: $here/package.json; needs node and npm" >&2
}

browsers() {
  local missing=()
  command -v chromium >/dev/null || missing+=(chromium)
  command -v firefox-esr >/dev/null || missing+=(firefox-esr)
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null && return
  fi
  echo "not installed: ${missing[*]}; as root: apt-get install ${missing[*]}" >&2
}

modules
case "$kind" in
  hosts) environment hosts "$here/hosts.txt"; browsers ;;
  peers) environment peers "$here/peers.txt" ;;
  *) echo "usage: install.sh FOLDER hosts|peers" >&2; exit 2 ;;
esac
