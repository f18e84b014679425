"""A stand-in for cAdvisor 0.47.2: the Docker Engine's container statistics under cAdvisor's metric names."""

from __future__ import annotations

VERSION = "v0.47.2"
