#!/usr/bin/env bash
# Ensure that a Docker Engine with Compose 2.20 or newer is running, and that mmdebstrap is installed if the local image set
# has to be built.
#
#   ensure-docker.sh [--local-set]     --local-set: the local set will be built, whatever a registry has
#
# If everything is installed, the script changes nothing. As root on Debian it installs the packages and starts the daemon.
# Anywhere else it says what to install and exits with 1: a laptop's engine is its owner's choice.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly MINIMUM_COMPOSE=2.20
readonly ENGINE_SUITE=trixie # the first Debian release with Compose 2
readonly BASE_IMAGE=stackctl/base:local
readonly DAEMON_LOG=$SYSROOT/var/log/dockerd.log
readonly PULL_SECONDS=60
readonly local_set=${1:-}

engine_answers() { docker info >/dev/null 2>&1; }

compose_is_recent() {
  local version
  version=$(docker compose version --short 2>/dev/null) || return 1
  [ "$(printf '%s\n%s\n' "$MINIMUM_COMPOSE" "${version#v}" | sort -V | head -n 1)" = "$MINIMUM_COMPOSE" ]
}

# Priority 1 keeps every other package of the machine on its own release: only packages named as PACKAGE/SUITE come from the
# newer one.
add_engine_suite() {
  local mirror
  [ "$(os_release VERSION_CODENAME)" = "$ENGINE_SUITE" ] && return
  alone apt-get update -qq >&2 || die "apt-get update failed (see above)"
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "apt names no Debian mirror: install Docker Engine 25+ and Compose $MINIMUM_COMPOSE+ by hand"
  cat >"$SYSROOT/etc/apt/sources.list.d/stackctl-engine.sources" <<EOF
Types: deb
URIs: $mirror
Suites: $ENGINE_SUITE
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 1\n' "$ENGINE_SUITE" >"$SYSROOT/etc/apt/preferences.d/stackctl-engine"
}

start_daemon() {
  say "starting dockerd"
  if [ -d "$SYSROOT/run/systemd/system" ]; then
    systemctl start docker
  else
    setsid nohup dockerd >>"$DAEMON_LOG" 2>&1 </dev/null &
  fi
  for _ in $(seq 120); do
    engine_answers && return
    sleep 0.25
  done
  tail -n 10 "$DAEMON_LOG" >&2 2>/dev/null || true
  die "dockerd did not respond within 30 s (log: $DAEMON_LOG)"
}

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# The base of the local set exists, or can be built.
can_build() { command -v mmdebstrap >/dev/null || has_image "$BASE_IMAGE"; }

ensure_engine() {
  local wanted=()
  command -v dockerd >/dev/null || engine_answers || wanted+=("docker.io/$ENGINE_SUITE" "docker-cli/$ENGINE_SUITE" iptables)
  compose_is_recent || wanted+=("docker-compose/$ENGINE_SUITE")
  # One call of apt for all of it: its package lists take seconds.
  if [ "${#wanted[@]}" -gt 0 ] && [ "$local_set" = --local-set ] && ! can_build; then wanted+=(mmdebstrap); fi
  if may_install && [ "$(os_release ID)" = debian ]; then
    if [ "${#wanted[@]}" -gt 0 ]; then
      add_engine_suite
      apt_install "${wanted[@]}"
    fi
    engine_answers || start_daemon
  fi
  engine_answers || die "no Docker Engine answers: install Docker Engine 25+ (or Docker Desktop) and start it, then run this again"
  compose_is_recent || die "Docker Compose $MINIMUM_COMPOSE or newer is missing: install the docker-compose-plugin package, then run this again"
}


# One image represents all of them: if a registry has it, `up` does not need the local set.
upstream_answers() {
  local image
  image=$(sed -n 's/^prometheus: { plan: "\([^"]*\)".*/\1/p' compose/images.yml)
  has_image "$image" || timeout "$PULL_SECONDS" docker pull --quiet "$image" >/dev/null 2>&1
}

# If it cannot be installed, stackctl says so when it needs it.
ensure_mmdebstrap() {
  if can_build || ! may_install; then return; fi
  if [ "$local_set" = --local-set ] || ! upstream_answers; then
    apt_install mmdebstrap
  fi
}

ensure_engine
ensure_mmdebstrap
