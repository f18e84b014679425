# Shared by the scripts, which source it: messages, and packages from apt if they may be installed.

readonly SYSROOT=${SYSROOT:-} # a folder to use as /; only the tests of these scripts set it

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "$*"; exit 1; }

# Packages are installed only as root on a machine with apt; otherwise the scripts say what to install.
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Print a field of os-release(5), or nothing if it is missing.
os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$SYSROOT/etc/os-release" 2>/dev/null || true; }

# Print the mirror in this machine's own apt configuration, so that a network with a mirror works too.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' |
    awk '$2 == "main" && $1 !~ /security/ { print $1; exit }'
}

# Runs a command that no other of these scripts may run at the same time: apt refuses to be called twice.
alone() {
  (
    flock 8
    "$@"
  ) 8>"${TMPDIR:-/tmp}/stackctl-apt.lock"
}

update_and_install() {
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# apt's output is shown only if it fails.
apt_install() {
  local log
  log=$(mktemp)
  say "installing $*"
  if ! alone update_and_install "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "installing $* failed (last lines above; full log: $log)"
  fi
  rm -f "$log"
}
