"""One command that brings up the monitoring stack of bot-core and proves that it works."""

__version__ = "0.1.0"
