"""What the provisioning folder gives: data sources and dashboards."""

from __future__ import annotations
