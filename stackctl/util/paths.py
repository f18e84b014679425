"""Paths of the compose files, the configuration and the images' sources, in the wheel or the checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def root() -> Path:
    """Return the folder with compose/, demo/, docs/runbooks/, images/, infrastructure/ and standins/."""
    installed = _PACKAGE / "_bundle"
    return installed if installed.is_dir() else _PACKAGE.parent


def compose() -> Path:
    """Return the folder of the compose files."""
    return root() / "compose"


def build_file(name: str) -> Path:
    """Return the compose file that builds images: `local` or `current` for the local set, `demo`, or `nettools`."""
    return compose() / "build" / f"{name}.yml"


def volumes() -> set[str]:
    """Return the keys of the volumes in the compose files, including those of the demo and for containerd."""
    from stackctl.util import yaml_text

    return {
        key
        for name in ("docker-compose.yml", "demo.yml", "containerd.yml")
        for key in yaml_text.load((compose() / name).read_text(encoding="utf-8"))["volumes"]
    }


def runbooks() -> Path:
    """Return the folder of the runbooks."""
    return root() / "docs" / "runbooks"


def monitoring() -> Path:
    """Return the folder of the configuration templates."""
    return root() / "infrastructure" / "monitoring"


def dashboards() -> list[str]:
    """Return the uids of the project's dashboards, which are the names of their files."""
    return sorted(path.stem for path in (monitoring() / "grafana" / "dashboards").glob("*.json"))
