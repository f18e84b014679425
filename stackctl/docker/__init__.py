"""The Docker Engine. Only this package uses python-on-whales; it returns its own types."""
