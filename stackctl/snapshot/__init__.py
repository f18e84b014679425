"""Saves a dashboard with its data as one HTML file."""
