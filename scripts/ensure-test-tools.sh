#!/usr/bin/env bash
# Ensure that programs that only tests need are installed: shells for completion, and a container registry.
#
#   ensure-test-tools.sh PACKAGE...
#
# As root on a machine with apt, the script installs what is missing. If it cannot, it says so, and those tests are skipped; in
# CI it exits with 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

is_here() {
  # Upstream, the registry's program has a shorter name than Debian's.
  command -v "$1" >/dev/null || { [ "$1" = docker-registry ] && command -v registry >/dev/null; }
}

missing=()
for tool in "$@"; do
  is_here "$tool" || missing+=("$tool")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if ! may_install || ! (apt_install "${missing[@]}"); then
  say "${missing[*]} not installed: tests that need it are skipped"
  [ -z "${CI:-}" ] || exit 1
  exit 0
fi
# The tests start their own registry.
if [[ " ${missing[*]} " == *" docker-registry "* ]] && [ -d "$SYSROOT/run/systemd/system" ]; then
  systemctl disable --now docker-registry
fi
