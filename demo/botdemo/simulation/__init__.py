"""A model of bot-core's day: each part advances by seconds and updates its metrics."""
