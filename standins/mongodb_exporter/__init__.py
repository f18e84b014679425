"""A stand-in for Percona's mongodb_exporter 0.40: serverStatus, dbStats and replSetGetStatus under its names."""

from __future__ import annotations

VERSION = "0.40.0"
