"""A stand-in for MongoDB 7.0: its wire protocol, its login and what it tells of itself. It keeps no documents."""

from __future__ import annotations

VERSION = "7.0.0"
