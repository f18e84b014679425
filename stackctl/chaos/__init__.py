"""Faults on purpose: what can be done to a service, the journal that outlives us, and the drill around a fault."""
