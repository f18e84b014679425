"""A stand-in for MongoDB 7.0: its wire protocol, its login and its status commands. It stores no documents."""

from __future__ import annotations

VERSION = "7.0.0"
