"""The stack itself: where its files are, its rendered configuration, its images, the engine that runs it."""
