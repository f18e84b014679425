"""A stack of a test's own, with the local set, beside the shared one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from stackctl.config.load import load
from stackctl.config.settings import Settings
from stackctl.services.catalog import PUBLISHED_PORTS
from tests.support.cli import stackctl

UP_SECONDS = 900
"""`up` may have to build the images of either release."""


@dataclass(frozen=True)
class SideStack:
    """A project in a folder, whose .env moves its ports."""

    PROJECT: ClassVar[str]
    folder: Path
    offset: int
    """How far every port is from its default."""

    def __post_init__(self) -> None:
        ports = (f"{one.setting}={one.default + self.offset}\n" for one in PUBLISHED_PORTS.values())
        self.env_file.write_text("".join(ports))

    @property
    def env_file(self) -> Path:
        """The file with its settings."""
        return self.folder / "side.env"

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return load(project=self.PROJECT, env_file=self.env_file, environ={})

    def run(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Run stackctl for it, in its folder: an override is that of the folder that a command is called in."""
        env = {"STACKCTL_STATE_DIR": str(self.folder / "state")}
        options = ("-p", self.PROJECT, "--env-file", str(self.env_file))
        return stackctl(*options, *arguments, cwd=self.folder, env=env, timeout=timeout)

    def up(self, versions: str) -> subprocess.CompletedProcess[str]:
        """Bring it up in these releases."""
        done = self.run("up", "--images", "local", "--versions", versions, timeout=UP_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def remove(self) -> None:
        """Take it down with its data."""
        ended = self.run("down", "--volumes", "--yes")
        assert ended.returncode == 0, ended.stdout + ended.stderr
