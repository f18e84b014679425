"""What a value may be: the row type of a setting, and the parsers that validate and normalise its text."""
