#!/usr/bin/env bash
# Ensure that Python can create the virtual environment: 3.11 or newer, with the venv module.
#
#   ensure-python.sh [PYTHON]
#
# Debian and Ubuntu have that module in a separate package: as root the script installs it, otherwise it names it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly python=${1:-python3}

if ! command -v "$python" >/dev/null; then
  die "$python not found: install Python 3.11 or newer, or name one (make PYTHON=python3.12 up)"
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  die "$("$python" --version 2>&1) is too old: install Python 3.11 or newer, or name one (make PYTHON=python3.12 up)"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null && exit 0
package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
may_install || die "$python has no venv module: install the package $package, then run this again"
apt_install "$package"
