"""Write the dashboards' JSON, or with --check list the files that differ from the source."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import (
    ai_analysis,
    api_performance,
    business_metrics,
    database_performance,
    system_overview,
    trading_performance,
    websocket_metrics,
)

FOLDER = (
    Path(__file__).resolve().parent.parent
    / "infrastructure"
    / "monitoring"
    / "grafana"
    / "dashboards"
)
"""The folder that Grafana's provisioning reads."""

MODULES = (
    system_overview,
    trading_performance,
    api_performance,
    ai_analysis,
    database_performance,
    websocket_metrics,
    business_metrics,
)
"""One module a dashboard, in the plan's order."""


def files() -> dict[str, str]:
    """Return every file's name and text; the same source always has the same result."""
    built = [module.build() for module in MODULES]
    return {
        f"{dashboard.uid}.json": json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True)
        + "\n"
        for dashboard in built
    }


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the names of files that are missing, differ from the source, or have no source."""
    wanted = files()
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(
        name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name)
    )


def write(folder: Path = FOLDER) -> None:
    """Make the folder's JSON files those of the source, and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def main() -> int:
    """Return 0, or 1 where --check finds a file that differs."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; list the files that differ"
    )
    if not parser.parse_args().check:
        write()
        return 0
    names = stale()
    for name in names:
        sys.stdout.write(f"{FOLDER / name}: differs from its source; run `make dashboards`\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
