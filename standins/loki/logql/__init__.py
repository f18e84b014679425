"""LogQL: the part of the language that README.md lists."""

from __future__ import annotations
