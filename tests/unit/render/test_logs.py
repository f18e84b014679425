"""The day on which Loki 3's index begins."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from stackctl.project.state import StateFolder
from stackctl.render import logs, targets
from stackctl.util import paths, yaml_text


def test_the_index_begins_on_the_day_after_the_switch_and_stays_there(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    assert logs.tsdb_from(state) == tomorrow
    logs.settle_tsdb(state, "current")
    state.write_json("loki.json", {"tsdb_from": "2026-08-01"})
    logs.settle_tsdb(state, "current")
    assert logs.tsdb_from(state) == dt.date(2026, 8, 1)


def test_as_long_as_the_old_loki_runs_no_day_is_settled(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    logs.settle_tsdb(state, "plan")
    assert list(tmp_path.iterdir()) == []
    state.write_json("loki.json", {"tsdb_from": "2026-08-01"})
    logs.settle_tsdb(state, "plan")
    assert logs.tsdb_from(state) > dt.date(2026, 8, 1)


@pytest.mark.parametrize("record", [{}, {"tsdb_from": "nonsense"}, {"tsdb_from": 5}])
def test_a_lost_day_is_that_of_the_configuration_of_loki(
    tmp_path: Path, record: dict[str, object]
) -> None:
    state = StateFolder(tmp_path)
    config = yaml_text.load((paths.monitoring() / "loki" / "loki-config.yml").read_text())
    rendered = state.config / "loki" / "loki-config.yml"
    rendered.parent.mkdir(parents=True)
    rendered.write_text(targets.dumped(config))
    state.write_json("loki.json", record)
    assert logs.tsdb_from(state) > dt.datetime.now(dt.UTC).date()
    day = dt.date(2026, 8, 1)
    logs.loki(config, day)
    rendered.write_text(targets.dumped(config))
    assert logs.tsdb_from(state) == day
    logs.settle_tsdb(state, "current")
    assert state.read_json("loki.json") == {"tsdb_from": "2026-08-01"}


def test_the_health_check_is_lokis_own_where_it_has_no_client() -> None:
    assert logs.loki_health("plan") == {}
    assert logs.loki_health("current")["LOKI_HEALTH_FLAG"] == "-health"
