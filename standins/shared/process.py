"""The start and the end of a stand-in's process."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType


class ConfigError(Exception):
    """A flag, a variable or a file of the configuration that cannot be used; the text is one line."""


class UsageError(ConfigError):
    """A flag that the program does not have, or that lacks its value."""


def run(module: str, arguments: Sequence[str]) -> int:
    """Import `module`, call its `main(arguments)` and give the exit code.

    0 after SIGTERM, 1 for a configuration that cannot be used, 2 for a wrong flag: one line on stderr each. SIGTERM
    is answered from the first moment: the kernel drops a signal that process 1 of a container has no handler for.
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
