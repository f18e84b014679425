"""Asking the data sources, and what they answer as Grafana's data frames."""

from __future__ import annotations
