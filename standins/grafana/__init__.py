"""A stand-in for Grafana 10.2.2: provisioning, the HTTP API as far as stackctl uses it, and plain pages."""

from __future__ import annotations

VERSION = "10.2.2"
FULL_VERSION = f"{VERSION}+standin"
COMMIT = "stackctl-standin"
