"""A stand-in for Promtail 2.9.3 and, in `alloy`, for Alloy: sends the lines of containers through stages to Loki."""
