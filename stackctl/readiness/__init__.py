"""Waits until every service is ready, and reports progress."""
