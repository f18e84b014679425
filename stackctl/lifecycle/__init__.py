"""Starts, stops and reloads the stack, after preflight checks."""
