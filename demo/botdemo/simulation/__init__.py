"""A clean model of bot-core's day: each part advances by seconds and writes what happened into its metrics."""
