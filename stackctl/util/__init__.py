"""Helpers that do not depend on the stack: paths, YAML, polling, signals, redaction, suggestions."""
