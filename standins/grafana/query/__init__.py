"""Queries to the data sources, and their results as Grafana's data frames."""

from __future__ import annotations
