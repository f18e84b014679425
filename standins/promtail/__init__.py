"""Stands in for Promtail 2.9.3, and in `alloy` for Alloy: finds containers, sends their lines by stages to Loki."""
