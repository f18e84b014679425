"""A stack in which everything is right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.http import serving
from tests.support.right_stack import Stack


@pytest.fixture
def stack() -> Iterator[Stack]:
    with serving({}) as server:
        yield Stack(server)
