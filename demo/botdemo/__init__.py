"""bot-core's services for a laptop without bot-core: their metrics, logs and endpoints on top of a simulated market."""
