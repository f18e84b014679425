"""Backup and restore of the data that the stack collects."""
