"""Clients for the stack's services: thin, typed and asynchronous, one class per service."""
