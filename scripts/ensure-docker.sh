#!/usr/bin/env bash
# Sees to a running Docker Engine with Compose 2.20 or newer, and to mmdebstrap for the local image set.
#
# Where both answer already, it changes nothing. As root on Debian it installs the packages and starts
# the daemon. Anywhere else it says what to install and exits 1: a laptop's engine is its owner's choice.
set -euo pipefail

readonly MINIMUM_COMPOSE=2.20
readonly ENGINE_SUITE=trixie # the first Debian release with Compose 2
readonly DAEMON_LOG=/var/log/dockerd.log

say() { printf 'ensure-docker: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

engine_answers() { docker info >/dev/null 2>&1; }

compose_is_recent() {
  local version
  version=$(docker compose version --short 2>/dev/null) || return 1
  [ "$(printf '%s\n%s\n' "$MINIMUM_COMPOSE" "${version#v}" | sort -V | head -n 1)" = "$MINIMUM_COMPOSE" ]
}

is_debian_root() { [ "$(id -u)" = 0 ] && [ -r /etc/debian_version ] && command -v apt-get >/dev/null; }

# The mirror is the one that this machine's own apt settings name, so that a mirrored network works too.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    awk '$2 == "main" && $1 !~ /security/ { print $1; exit }'
}

# Priority 1 keeps every other package of the machine on its own release: only what is named with
# PACKAGE/SUITE comes from the newer one.
add_engine_suite() {
  local mirror
  [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$ENGINE_SUITE" ] && return
  apt-get update -qq
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "apt names no Debian mirror; install Docker Engine 25+ and Compose $MINIMUM_COMPOSE+ by hand"
  cat >/etc/apt/sources.list.d/stackctl-engine.sources <<EOF
Types: deb
URIs: $mirror
Suites: $ENGINE_SUITE
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
  printf 'Package: *\nPin: release n=%s\nPin-Priority: 1\n' "$ENGINE_SUITE" >/etc/apt/preferences.d/stackctl-engine
}

install_packages() {
  local log
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  if ! { add_engine_suite && apt-get update -qq && apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "installing $* failed (the last lines above; all of it in $log)"
  fi
  rm -f "$log"
}

start_daemon() {
  if [ -d /run/systemd/system ]; then
    systemctl start docker
  else
    setsid nohup dockerd >>"$DAEMON_LOG" 2>&1 </dev/null &
  fi
  for _ in $(seq 120); do
    engine_answers && return
    sleep 0.25
  done
  tail -n 10 "$DAEMON_LOG" >&2 2>/dev/null || true
  die "dockerd did not answer within 30 s (log: $DAEMON_LOG)"
}

main() {
  local wanted=()
  command -v dockerd >/dev/null || engine_answers || wanted+=("docker.io/$ENGINE_SUITE" "docker-cli/$ENGINE_SUITE" iptables)
  compose_is_recent || wanted+=("docker-compose/$ENGINE_SUITE")
  if is_debian_root; then
    command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
    if [ "${#wanted[@]}" -gt 0 ]; then
      say "installing ${wanted[*]} from Debian's packages"
      install_packages "${wanted[@]}"
    fi
    engine_answers || { say "starting dockerd"; start_daemon; }
  fi
  engine_answers || die "no Docker Engine answers: install Docker Engine 25+ (or Docker Desktop) and start it, then run this again"
  compose_is_recent || die "Docker Compose $MINIMUM_COMPOSE or newer is missing: install the docker-compose-plugin package, then run this again"
}

main "$@"
