"""The PromQL of runbooks and guide through the real promtool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.docs import DOCUMENTS, blocks
from tests.support.tools import check_expressions


@pytest.mark.docker
def test_prometheus_can_read_every_query_of_the_documents(tmp_path: Path) -> None:
    exprs = [expr for text in DOCUMENTS.values() for expr in blocks(text, "promql")]
    assert len(exprs) > 100
    checked = check_expressions(exprs, tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(exprs)} rules found" in checked.stdout
