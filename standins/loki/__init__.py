"""Stands in for Loki 2.9.3: takes pushes, keeps lines in segment files, answers LogQL."""

from __future__ import annotations

import os

VERSION = f"{os.environ.get('STANDIN_LOKI', '2.9.3')}+standin"
