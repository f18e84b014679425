"""Small programs that stand in for programs without a Debian package. README.md lists what each of them speaks."""

from __future__ import annotations
