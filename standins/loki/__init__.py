"""A stand-in for Loki 2.9.3: accepts pushes, stores lines in segment files, answers LogQL queries."""

from __future__ import annotations

import os

VERSION = f"{os.environ.get('STANDIN_LOKI', '2.9.3')}+standin"
