"""A project: its state folder, lock and secrets, and the compose overrides for its engine."""
