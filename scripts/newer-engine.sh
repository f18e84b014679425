#!/usr/bin/env bash
# Run a command against a second Docker Engine, which is newer than the distribution's and configured as on current laptops:
# with containerd's image store and a minimum API version of 1.44.
#
#   newer-engine.sh COMMAND...
#
# The engine, its command line and Compose are packages of Debian's next release, unpacked into a cache folder and never
# installed. They run in their own network namespace without a connection to the outside, next to whatever else runs here, and
# stop after COMMAND; their images and volumes are removed. COMMAND gets DOCKER_HOST, DOCKER_CONFIG and PATH for that engine,
# and in DISTRIBUTION_ENGINE the address of the engine that `docker` uses here.
#
# The script needs root on Debian. Elsewhere it says so and exits with 0 without running COMMAND; in CI it exits with 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly SUITE=forky # Debian's next release
readonly PACKAGES=(docker.io docker-cli docker-compose docker-buildx containerd runc tini-static)
readonly LEAST_API=1.44 # that of Engine 29.0
readonly CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/stackctl/newer-engine
readonly ROOT=$CACHE/root
readonly DATA=$CACHE/data
readonly RUNTIME=$SYSROOT/run/stackctl-newer-engine
readonly NAMESPACE=stackctl-newer
readonly DOCKER_SOCKET=$RUNTIME/docker.sock
readonly CONTAINERD_SOCKET=$RUNTIME/containerd.sock
readonly WAIT_SECONDS=60

cannot() {
  say "NO NEWER ENGINE ($*): its tests are skipped"
  [ -z "${CI:-}" ] || exit 1
  exit 0
}

# apt with its own sources list, package lists and cache, which the machine's apt does not see.
own_apt() {
  apt-get -qq \
    -o "Dir::Etc::SourceList=$CACHE/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o "Dir::State::Lists=$CACHE/apt/lists" -o "Dir::Cache=$CACHE/apt/cache" \
    -o APT::Sandbox::User=root "$@"
}

unpack() {
  local mirror package
  [ ! -e "$CACHE/complete" ] || return 0
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || { apt-get update -qq >&2 && mirror=$(debian_mirror); } || true
  [ -n "$mirror" ] || cannot "apt names no Debian mirror"
  say "downloading ${PACKAGES[*]} of Debian $SUITE"
  rm -rf "$CACHE"
  mkdir -p "$CACHE/apt/lists/partial" "$CACHE/apt/cache/archives/partial" "$CACHE/debs"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $SUITE main" >"$CACHE/sources.list"
  own_apt update >&2 || cannot "apt-get update failed (see above)"
  (cd "$CACHE/debs" && own_apt download "${PACKAGES[@]}" >&2) || cannot "apt-get download failed (see above)"
  for package in "$CACHE"/debs/*.deb; do
    dpkg -x "$package" "$ROOT"
  done
  rm -rf "$CACHE/debs" "$CACHE/apt"
  # It is linked against a C library that may be newer than this release's; the distribution's runc works as well.
  "$ROOT/usr/sbin/runc" --version >/dev/null 2>&1 || rm -f "$ROOT/usr/sbin/runc"
  mkdir -p "$CACHE/docker"
  printf '{"cliPluginsExtraDirs": ["%s"]}\n' "$ROOT/usr/libexec/docker/cli-plugins" >"$CACHE/docker/config.json"
  touch "$CACHE/complete"
}

inside() { nsenter "--net=/run/netns/$NAMESPACE" "$@"; }
engine() { DOCKER_HOST=unix://$DOCKER_SOCKET DOCKER_CONFIG=$CACHE/docker "$ROOT/usr/bin/docker" "$@"; }

# Start a daemon in the namespace, with its PID file and log next to its socket.
daemon() {
  local name=$1
  shift
  setsid nsenter "--net=/run/netns/$NAMESPACE" env "PATH=$ROOT/usr/sbin:$ROOT/usr/bin:$PATH" "$@" \
    >"$RUNTIME/$name.log" 2>&1 </dev/null &
  echo $! >"$RUNTIME/$name.pid"
}

# Wait until a command succeeds, unless the daemon has exited.
await() {
  local name=$1
  shift
  for _ in $(seq $((WAIT_SECONDS * 5))); do
    "$@" >/dev/null 2>&1 && return
    kill -0 "$(cat "$RUNTIME/$name.pid")" 2>/dev/null || break
    sleep 0.2
  done
  tail -n 5 "$RUNTIME/$name.log" >&2
  halt
  cannot "$name does not respond (see above)"
}

launch() {
  mkdir -p "$RUNTIME" "$DATA"
  [ -e "/run/netns/$NAMESPACE" ] || ip netns add "$NAMESPACE" || cannot "a network namespace cannot be created here"
  ip -n "$NAMESPACE" link set lo up
  cat >"$RUNTIME/containerd.toml" <<EOF
version = 2
root = "$DATA/containerd"
state = "$RUNTIME/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$CONTAINERD_SOCKET"
[ttrpc]
  address = "$CONTAINERD_SOCKET.ttrpc"
EOF
  echo '{"features": {"containerd-snapshotter": true}}' >"$RUNTIME/daemon.json"
  daemon containerd containerd --config "$RUNTIME/containerd.toml"
  await containerd test -S "$CONTAINERD_SOCKET"
  daemon dockerd env "DOCKER_MIN_API_VERSION=$LEAST_API" dockerd \
    --config-file "$RUNTIME/daemon.json" --data-root "$DATA/docker" --exec-root "$RUNTIME/exec" \
    --pidfile "$RUNTIME/docker.pid" --host "unix://$DOCKER_SOCKET" --containerd "$CONTAINERD_SOCKET" \
    --userland-proxy-path "$ROOT/usr/sbin/docker-proxy" --init-path "$ROOT/usr/bin/tini-static"
  await dockerd engine version
}

# Stop a daemon by its PID, if that is still the daemon's.
end() {
  local name=$1 pid
  pid=$(cat "$RUNTIME/$name.pid" 2>/dev/null) || return 0
  if [[ "$(readlink "/proc/$pid/exe")" == "$ROOT"/* ]]; then
    kill "$pid"
    for _ in $(seq $((WAIT_SECONDS * 5))); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.2
    done
  fi
  rm -f "$RUNTIME/$name.pid"
}

# The engine stops its containers; its data stays on the disk.
halt() {
  end dockerd
  end containerd
}

remove() {
  halt
  [ ! -e "/run/netns/$NAMESPACE" ] || ip netns del "$NAMESPACE"
  # A killed engine leaves mounts behind, which prevent the removal of their folders.
  awk -v data="$DATA/" -v runtime="$RUNTIME/" 'index($2, data) == 1 || index($2, runtime) == 1 { print $2 }' /proc/mounts |
    sort -r | xargs --no-run-if-empty umount
  rm -rf --one-file-system "$DATA" "$RUNTIME"
}

# A killed run leaves daemons behind, and containers that outlive them: an engine on the same data finds and stops them.
remove_leftovers() {
  [ -e "$RUNTIME" ] || [ -e "$DATA" ] || return 0
  say "removing the leftovers of a killed run"
  halt
  launch
  engine ps --all --quiet | xargs --no-run-if-empty "$ROOT/usr/bin/docker" --host "unix://$DOCKER_SOCKET" rm --force >/dev/null
  remove
}

main() {
  [ "$(id -u)" = 0 ] || cannot "needs root"
  [ "$(os_release ID)" = debian ] || cannot "needs Debian"
  command -v ip >/dev/null || apt_install iproute2
  mkdir -p "$(dirname "$CACHE")"
  exec 9>"$CACHE.lock"
  flock --nonblock 9 || die "another run uses the newer engine: wait until it is done"
  unpack
  # The daemons would outlive a killed run and hold the lock.
  {
    remove_leftovers
    trap remove EXIT
    launch
  } 9>&-
  DISTRIBUTION_ENGINE=$(docker context inspect --format '{{.Endpoints.docker.Host}}')
  export DISTRIBUTION_ENGINE
  say "$(engine version --format 'Engine {{.Server.Version}}'), $(engine compose version)"
  inside env "PATH=$ROOT/usr/bin:$PATH" "DOCKER_HOST=unix://$DOCKER_SOCKET" "DOCKER_CONFIG=$CACHE/docker" "$@" 9>&-
}

main "$@"
