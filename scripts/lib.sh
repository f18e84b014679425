# What the scripts share: how they speak, and packages from apt where those may be installed. To be sourced.

readonly SYSROOT=${SYSROOT:-} # another folder for /, which only the tests of these scripts set

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "$*"; exit 1; }

# Root of a machine with apt is asked for nothing; anybody else is told what to install.
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# A field of os-release(5), nothing where there is none.
os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$SYSROOT/etc/os-release" 2>/dev/null || true; }

# The mirror is the one that this machine's own apt settings name, so that a mirrored network works too.
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

# What apt says is shown only where it fails.
apt_install() {
  local log
  log=$(mktemp)
  say "installing $*"
  if ! alone update_and_install "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die "installing $* failed (the last lines above; all of it in $log)"
  fi
  rm -f "$log"
}
