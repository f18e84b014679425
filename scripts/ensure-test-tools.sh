#!/usr/bin/env bash
# Sees to programs that only tests need: shells that complete commands, a container registry.
#
#   ensure-test-tools.sh PACKAGE...
#
# As root of a machine with apt it installs what is missing. Where it cannot, it says so: those tests are then skipped, and
# in CI it exits 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

is_here() {
  # The upstream registry's program has a shorter name than Debian's.
  command -v "$1" >/dev/null || { [ "$1" = docker-registry ] && command -v registry >/dev/null; }
}

missing=()
for tool in "$@"; do
  is_here "$tool" || missing+=("$tool")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if ! may_install || ! (apt_install "${missing[@]}"); then
  say "without ${missing[*]} tests are skipped"
  [ -z "${CI:-}" ] || exit 1
  exit 0
fi
# The tests start one of their own.
if [[ " ${missing[*]} " == *" docker-registry "* ]] && [ -d "$SYSROOT/run/systemd/system" ]; then
  systemctl disable --now docker-registry
fi
