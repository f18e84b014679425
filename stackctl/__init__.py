"""Starts bot-core's monitoring stack and verifies that it works."""

__version__ = "0.1.0"
