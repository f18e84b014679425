"""Waiting until every service is ready, and reporting the progress of the wait."""
