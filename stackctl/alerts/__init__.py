"""Alerts for people: active alerts, rule counts, examples and runbooks."""
