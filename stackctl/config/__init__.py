"""The settings: their sources and validation, and the files that users edit."""
