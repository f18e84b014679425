"""Positions of one log collector, as the other reads them: the stand-ins read what the originals do."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from stackctl.docker import named_volumes
from stackctl.errors import StackctlError
from stackctl.lifecycle import log_positions
from stackctl.services.applications import MonitoredServices
from standins.promtail.positions import Positions
from standins.shared.labels import show

PRESENT = MonitoredServices(demo=True, targets={}, health={})
LOKI, ALONE, GONE = "1" * 64, "2" * 64, "3" * 64
CONTAINERS: list[dict[str, Any]] = [
    {
        "Id": LOKI,
        "Name": "/loki",
        "Config": {
            "Labels": {
                "com.docker.compose.project": "bot-core",
                "com.docker.compose.service": "loki",
                "stackctl.image": "grafana/loki:2.9.3",
            }
        },
    },
    {"Id": ALONE, "Name": "/alone", "Config": {"Labels": None}},
]


class Volume:
    """A volume as a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, _volume: str, sink: IO[bytes]) -> None:
        with tarfile.open(fileobj=sink, mode="w") as tar:
            tar.add(self.folder, named_volumes.ROOT)

    def write(self, _volume: str, source: IO[bytes]) -> None:
        content = io.BytesIO(source.read())
        with tarfile.open(fileobj=content) as tar:
            for member in tar.getmembers():
                member.name = member.name.removeprefix(f"{named_volumes.ROOT}/")
                member.uid, member.gid = self.folder.stat().st_uid, self.folder.stat().st_gid
                tar.extract(member, self.folder, filter="data")


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Volume:
    found = Volume(tmp_path)

    @contextlib.contextmanager
    def opened(_project: str) -> Iterator[Volume]:
        yield found

    monkeypatch.setattr(named_volumes, "open_transfer", opened)
    monkeypatch.setattr(named_volumes, "present", set)
    return found


def hand_over(giver: str, taker: str) -> int:
    return log_positions.hand_over("bot-core", giver, taker, CONTAINERS, PRESENT)


def labels_of(container: dict[str, Any]) -> str:
    labels = log_positions.target_labels(container, "bot-core", PRESENT)
    return show((name, value) for name, value in labels.items() if value)


def test_alloy_begins_where_promtail_stopped_and_the_other_way_round(volume: Volume) -> None:
    promtail = Positions(volume.folder / "positions.yaml")
    for container, seconds in ((LOKI, 1_700_000_001), (ALONE, 1_700_000_002), (GONE, 1)):
        promtail.put(container, "", seconds)
    promtail.save()
    assert hand_over("promtail", "alloy") == 2
    own = Positions(volume.folder / "loki.source.docker.docker" / "positions.yml", labelled=True)
    other = Positions(
        volume.folder / "loki.source.docker.attached" / "positions.yml", labelled=True
    )
    loki, alone = CONTAINERS
    assert own.get(LOKI, labels_of(loki)) == 1_700_000_001
    assert other.get(ALONE, labels_of(alone)) == 1_700_000_002
    # Of a container that is gone nobody knows the labels, nor is there a log.
    assert "3333" not in (volume.folder / "loki.source.docker.docker/positions.yml").read_text()
    own.put(LOKI, labels_of(loki), 1_700_000_009)
    own.save()
    assert hand_over("alloy", "promtail") == 2
    again = Positions(volume.folder / "positions.yaml")
    assert again.get(LOKI, "") == 1_700_000_009
    assert again.get(ALONE, "") == 1_700_000_002


def test_what_alloy_reads_is_written_as_it_writes_it(volume: Volume) -> None:
    (volume.folder / "positions.yaml").write_text(f"positions:\n  cursor-{LOKI}: '12'\n")
    hand_over("promtail", "alloy")
    written = (volume.folder / "loki.source.docker.docker" / "positions.yml").read_text()
    assert written == (
        f'positions:\n  ? path: "cursor-{LOKI}"\n'
        f'    labels: "{{__meta_docker_container_id=\\"{LOKI}\\", container_name=\\"loki\\", '
        'image=\\"grafana/loki:2.9.3\\", job=\\"loki\\", service=\\"loki\\"}"\n'
        "  : '12'\n"
    )


def test_without_positions_nothing_is_handed_over(volume: Volume) -> None:
    assert hand_over("promtail", "alloy") == 0


@pytest.mark.parametrize("text", ["5", "positions: 5", "positions: {[a]: {b: c}, cursor-1: [2]}"])
def test_positions_of_another_shape_are_passed_over(volume: Volume, text: str) -> None:
    (volume.folder / "positions.yaml").write_text(text)
    assert hand_over("promtail", "alloy") == 0


def test_damaged_positions_are_said_to_be_so(volume: Volume) -> None:
    (volume.folder / "positions.yaml").write_text("positions: [")
    with pytest.raises(StackctlError, match=r"positions\.yaml: the log collector's") as caught:
        hand_over("promtail", "alloy")
    assert "stackctl down" in caught.value.line
