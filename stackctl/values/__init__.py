"""The type of a setting's row, and the parsers that validate and normalise values."""
