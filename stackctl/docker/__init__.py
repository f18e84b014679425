"""The Docker Engine. The only package that uses python-on-whales: its answers leave here as our own types."""
