"""A stand-in for Alloy 1.18.1 as a log collector: reads its native file, then works like the stand-in for Promtail."""
