"""The day on which Loki 3's index begins."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from stackctl.project.state import StateFolder
from stackctl.render import logs


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


def test_the_health_check_is_lokis_own_where_it_has_no_client() -> None:
    assert logs.loki_health("plan") == {}
    assert logs.loki_health("current")["LOKI_HEALTH_FLAG"] == "-health"
