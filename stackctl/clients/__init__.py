"""Clients of the stack's services: thin, typed, asynchronous, one class each."""
