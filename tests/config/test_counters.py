"""The recent growth of a counter, as the real Prometheus calculates it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stackctl.verify.counters import grown
from tests.support.tools import tool

pytestmark = pytest.mark.docker

SERIES = {
    # A minute apart each, the last of them at the end.
    "a new series that begins with a burst": ("_x120 50 50 50", 50.0),
    "a new series with one sample": ("_x122 7", 7.0),
    "an old failure": ("3+0x122", 0.0),
    "a recent failure": ("3x120 4 4 4", 1.0),
    "a restart that has lost nothing since": ("3x120 0 0 0", 0.0),
    "a failure from long ago that was not scraped for a while": ("3x60 _x60 3 3 3", 0.0),
    "no series": ("", 0.0),
}


@pytest.mark.parametrize(("values", "growth"), SERIES.values(), ids=SERIES)
def test_only_what_came_in_the_window_counts(tmp_path: Path, values: str, growth: float) -> None:
    tested = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": 'lost_total{reason="a"}', "values": values}]
                if values
                else [],
                "promql_expr_test": [
                    {
                        # `increase` reckons to the window's edges.
                        "expr": f"round(sum({grown('lost_total', 300)}) or vector(0))",
                        "eval_time": "122m",
                        "exp_samples": [{"labels": "{}", "value": growth}],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(tested))
    tmp_path.chmod(0o755)
    done = tool("promtool", "test", "rules", "test.yml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
