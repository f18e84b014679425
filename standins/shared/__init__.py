"""What the stand-ins have in common: process, logs, metrics, web server, labels, units, Docker's API."""

from __future__ import annotations
