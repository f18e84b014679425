"""Loads the lock of the images from the current folder, if there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stackctl.config.registry import LOCK_FILE

if TYPE_CHECKING:
    from stackctl.images.lockfile import Lock


def read() -> Lock | None:
    """Return the lock; None if there is no file. Raises StackctlError if the file is not a lock."""
    if not os.path.lexists(LOCK_FILE):
        return None
    # The models of the file take longer to load than all else that `up` needs before it calls Compose.
    from stackctl.images import lockfile

    return lockfile.read()
