"""Alerts as people ask about them: active ones, rule counts, matchers and runbooks."""
