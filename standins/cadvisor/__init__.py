"""A stand-in for cAdvisor 0.47.2: the containers' figures of the Docker Engine under cAdvisor's names."""

from __future__ import annotations

VERSION = "v0.47.2"
