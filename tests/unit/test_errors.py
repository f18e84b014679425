"""The drawing of the errors in `stackctl.errors` shows every class that the package defines, and its exit code."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import stackctl
from stackctl import errors
from stackctl.errors import StackctlError


def import_everything() -> None:
    for module in pkgutil.walk_packages(stackctl.__path__, "stackctl."):
        if module.name != "stackctl.__main__":
            importlib.import_module(module.name)


def drawn(error: type[StackctlError], name: str, below: str) -> Iterator[str]:
    """Draw a class and those derived from it: name, exit code, module."""
    module = error.__module__.removeprefix("stackctl.")
    yield f"{name:28}{error.exit_code}  {module}"
    children = sorted(
        # A test's own subclass is none of the package's.
        (one for one in error.__subclasses__() if one.__module__.startswith("stackctl.")),
        key=lambda one: one.__name__,
    )
    for child in children:
        last = child is children[-1]
        branch, stem = ("└── ", "    ") if last else ("├── ", "│   ")
        yield from drawn(child, f"{below}{branch}{child.__name__}", below + stem)


def test_the_docstring_draws_every_error_with_its_exit_code() -> None:
    import_everything()
    tree = "\n".join(f"    {line}" for line in drawn(StackctlError, "StackctlError", ""))
    assert errors.__doc__ is not None
    drawing = "\n".join(line for line in errors.__doc__.splitlines() if line.startswith("    "))
    assert drawing == tree
