"""Provisioning of data sources and dashboards."""

from __future__ import annotations
