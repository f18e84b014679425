"""Incidents as time series through the real rules, routes and inhibition: who is notified when, and how often."""
