"""Small programs that replace programs without a Debian package. README.md lists what each of them implements."""

from __future__ import annotations
