"""What a setting accepts for a flag, the real program accepts too, and the other way round."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping

import pytest

from tests.support.prometheus_values import DURATIONS, SIZES, WITHOUT_EFFECT

pytestmark = pytest.mark.docker

_IMAGE = "stackctl/prometheus:local"
_FLAG = "--storage.tsdb.retention."
# With flags that it accepts, Prometheus goes on to its configuration and ends there.
_SCRIPT = """
flag=$1; shift
for value; do
  case $(prometheus --config.file=/nonexistent "$flag=$value" 2>&1) in
    *"Error loading config"*) echo accepted ;;
    *"Error parsing command line arguments"*) echo refused ;;
    *) echo unknown ;;
  esac
done
"""


def verdicts(flag: str, values: Iterable[str]) -> dict[str, str]:
    """Return what Prometheus says to each value of a flag."""
    listed = list(values)
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", _IMAGE),
            *("-c", _SCRIPT, "sh", f"{_FLAG}{flag}", *listed),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(listed, done.stdout.split(), strict=True))


@pytest.mark.parametrize(("flag", "table"), [("time", DURATIONS), ("size", SIZES)])
def test_prometheus_agrees_on_every_value(flag: str, table: Mapping[str, float | None]) -> None:
    expected = {value: "refused" if read is None else "accepted" for value, read in table.items()}
    assert verdicts(flag, table) == expected


def test_prometheus_starts_with_sizes_that_are_no_limit() -> None:
    assert set(verdicts("size", WITHOUT_EFFECT).values()) == {"accepted"}
