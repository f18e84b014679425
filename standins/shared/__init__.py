"""Shared parts of the stand-ins: process, logs, metrics, web server, labels, units, Docker's API."""

from __future__ import annotations
