"""Small programs that stand in for programs without a Debian package. README.md says what each speaks."""

from __future__ import annotations
