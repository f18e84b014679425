"""The live display of a wait."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from stackctl.readiness.wait import Progress
from stackctl.ui.progress import Display


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_service_is_one_line_however_long_its_reason_is(columns: int) -> None:
    display = Display(Console(file=StringIO(), width=columns))
    display.step("waiting for readiness")
    for name in ("prometheus", "rust-core-engine"):
        display.progress(Progress(name, "waiting", 0.1, "connection closed " * 20))
    lines = Console(width=columns).render_lines(display._render(), pad=False)
    assert len(lines) == 3
