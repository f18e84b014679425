#!/usr/bin/env bash
# Sees to what only the end-to-end tests need beside Docker: a container registry, for those of the images.
#
# As root on Debian it installs docker-registry, and leaves its service stopped: the tests start one of their own.
# Anywhere else it says what is missing and exits 0: those tests are skipped then.
set -euo pipefail

say() { printf 'ensure-test-tools: %s\n' "$*" >&2; }

command -v docker-registry >/dev/null || command -v registry >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || [ ! -r /etc/debian_version ] || ! command -v apt-get >/dev/null; then
  say "no docker-registry here: the tests of mirror and lock are skipped"
  exit 0
fi
say "installing docker-registry from Debian's packages"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y --no-install-recommends docker-registry; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  say "installing docker-registry failed (the last lines above; all of it in $log)"
  exit 1
fi
rm -f "$log"
if [ -d /run/systemd/system ]; then
  systemctl disable --now docker-registry
fi
