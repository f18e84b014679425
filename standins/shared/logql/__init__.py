"""LogQL: the part of the language that Loki and Promtail share and that evaluation needs."""

from __future__ import annotations
