"""Shared by the tests of stackctl, the stand-ins and the demo: signals, and the list of slow tests."""

from __future__ import annotations

import importlib
import pkgutil
import signal
from pathlib import Path

import pytest
from hypothesis import is_hypothesis_test

import standins

_REPOSITORY = Path(__file__).resolve().parent
_IMAGES = frozenset({_REPOSITORY / "demo", _REPOSITORY / "standins"})
"""The code that our images run, with its tests."""


def pytest_configure() -> None:
    """Take Ctrl-C, and let every process under test: a shell starts background jobs with it ignored.

    Import the stand-ins' packages too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # pytest would import the packages around a test by asking each finder of sys.meta_path for a spec, which pygal's
    # finder does not support.
    for program in pkgutil.iter_modules(standins.__path__, "standins."):
        importlib.import_module(program.name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long by its kind, before pytest chooses by marks."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)) or _IMAGES & set(item.path.parents):
            item.add_marker(pytest.mark.thorough)
