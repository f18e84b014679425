"""The start and end of a stand-in's process."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType


class ConfigError(Exception):
    """An invalid flag, variable or configuration file; the text is one line."""


class UsageError(ConfigError):
    """An unknown flag, or one without its value."""


def run(module: str, arguments: Sequence[str]) -> int:
    """Import `module`, call its `main(arguments)` and return the exit code.

    0 after SIGTERM, 1 for an invalid configuration, 2 for a wrong flag, each with one line on stderr. SIGTERM
    is handled from the first moment: the kernel drops a signal for which process 1 of a container has no handler.
    """
    signal.signal(signal.SIGTERM, _leave)
    try:
        importlib.import_module(module).main(list(arguments))
    except ConfigError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 2 if isinstance(error, UsageError) else 1
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
