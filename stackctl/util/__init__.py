"""Helpers that know nothing of the stack: paths, YAML, polling, signals, redaction, suggestions."""
