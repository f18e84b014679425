"""One project: its state folder, lock, secrets, and the compose overrides for its engine."""
