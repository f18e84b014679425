"""Stands in for Alloy 1.18.1 as a log collector: reads its native file, then does what the stand-in Promtail does."""
