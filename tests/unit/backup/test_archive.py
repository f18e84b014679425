"""The file of a backup: whole, and damaged in every way."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackctl import __version__
from stackctl.backup import archive, data
from stackctl.backup.archive import BadBackup
from stackctl.errors import EngineError, StackctlError, UsageError
from tests.support.backups import FOLDER, GRAFANA, LOKI, handmade, manifest_of, member, read, tar_of


def test_what_is_written_is_read(whole: Path) -> None:
    assert read(whole) == {"grafana_data": GRAFANA, "loki_data": LOKI}


def test_only_its_user_can_read_it(whole: Path) -> None:
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600


def test_it_is_a_plain_tar_whose_manifest_tells_sizes_and_checksums(whole: Path) -> None:
    with tarfile.open(whole) as tar:
        assert tar.getnames() == [
            "volumes/grafana_data.tar",
            "volumes/loki_data.tar",
            "manifest.json",
        ]
        content = tar.extractfile("manifest.json")
        assert content is not None
        manifest = json.load(content)
    assert (manifest["format"], manifest["stackctl"]) == (1, __version__)
    assert manifest["project"] == "bot-core"
    assert manifest["time"].endswith("Z")
    assert manifest["volumes"][0] == {
        "name": "grafana_data",
        "image": "image-of-grafana_data",
        "size": len(GRAFANA),
        "sha256": hashlib.sha256(GRAFANA).hexdigest(),
    }


def test_a_failure_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(b"the old one")

    class CutOff(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise EngineError("docker cp failed")

    with pytest.raises(EngineError), archive.writing(path) as writer:
        writer.add("loki_data", "i", CutOff(LOKI))
    assert [one.name for one in tmp_path.iterdir()] == ["b.tar.gz"]
    assert path.read_bytes() == b"the old one"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(28, "No space left on device")

    path = tmp_path / "b.tar.gz"
    with (
        pytest.raises(StackctlError, match=r"cannot write .*b\.tar\.gz: No space left"),
        archive.writing(path) as writer,
    ):
        writer.add("loki_data", "i", Full(LOKI))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = tmp_path / "b.tar.gz"
    archive.refuse_existing(path, force=False)
    path.touch()
    with pytest.raises(UsageError) as caught:
        archive.refuse_existing(path, force=False)
    assert caught.value.remedy == "replace it with --force"
    archive.refuse_existing(path, force=True)


@pytest.mark.parametrize("place", [".", "no-such-folder/b.tar.gz"])
def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError):
        archive.refuse_existing(tmp_path / place, force=True)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(at=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_one_wrong_byte_anywhere_is_found(whole: Path, at: int, flip: int) -> None:
    content = bytearray(whole.read_bytes())
    content[at % len(content)] ^= flip
    damaged = whole.with_name("damaged.tar.gz")
    damaged.write_bytes(content)
    try:
        found = read(damaged)
    except BadBackup as error:
        assert "\n" not in error.message
    else:
        # Bits that say nothing of the content: time and system in gzip's header, unused codes of its compression.
        assert found == {"grafana_data": GRAFANA, "loki_data": LOKI}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_found(whole: Path, part: float) -> None:
    content = whole.read_bytes()
    cut = whole.with_name("cut.tar.gz")
    cut.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(BadBackup), archive.reading(cut, data.SERVICES):
        pytest.fail("the body must not run")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain text\n" * 100,
        gzip.compress(b"plain text\n" * 100),
        gzip.compress(tar_of()),
        gzip.compress(tar_of(member("etc/passwd", b"root"))),
        gzip.compress(tar_of(member("manifest.json", b"{}"))),
        gzip.compress(tar_of(member("manifest.json", b"[1"))),
        tar_of(member("manifest.json", b"{}")),
    ],
    ids=["empty", "text", "gzip", "empty-tar", "tar", "other-manifest", "no-json", "not-packed"],
)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.tar.gz"
    path.write_bytes(content)
    with pytest.raises(BadBackup) as caught, archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")
    assert "foreign.tar.gz" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"), archive.reading(tmp_path / "x", ()):
        pytest.fail("the body must not run")


LOKI_MEMBER = member("volumes/loki_data.tar", LOKI)


NOT_A_BACKUP = "is not a backup of stackctl"
OTHER_VOLUMES = "its volumes do not match its manifest"
SAME_SIZE = LOKI.replace(b"volume/chunks/1", b"volume/chunks/2")
DISAGREEING: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "no-volume": ([manifest_of({"loki_data": LOKI})], OTHER_VOLUMES),
    "other-size": ([LOKI_MEMBER, manifest_of({"loki_data": GRAFANA})], "checksum mismatch for"),
    "other-content": (
        [LOKI_MEMBER, manifest_of({"loki_data": SAME_SIZE})],
        "checksum mismatch for",
    ),
    "other-name": ([LOKI_MEMBER, manifest_of({"grafana_data": LOKI})], OTHER_VOLUMES),
    "one-missing": (
        [LOKI_MEMBER, manifest_of({"loki_data": LOKI, "grafana_data": GRAFANA})],
        OTHER_VOLUMES,
    ),
    "one-twice": (
        [LOKI_MEMBER, LOKI_MEMBER, manifest_of({"loki_data": LOKI})],
        NOT_A_BACKUP,
    ),
    "manifest-first": ([manifest_of({"loki_data": LOKI}), LOKI_MEMBER], NOT_A_BACKUP),
    "unknown-volume": (
        [member("volumes/mongodb_data.tar", LOKI), manifest_of({"mongodb_data": LOKI})],
        NOT_A_BACKUP,
    ),
    "path": (
        [member("volumes/../loki_data.tar", LOKI), manifest_of({"loki_data": LOKI})],
        NOT_A_BACKUP,
    ),
    "link": (
        [
            member("volumes/loki_data.tar", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
            manifest_of({"loki_data": LOKI}),
        ],
        NOT_A_BACKUP,
    ),
    "no-time": ([LOKI_MEMBER, manifest_of({"loki_data": LOKI}, time="yesterday")], NOT_A_BACKUP),
    "no-manifest": ([LOKI_MEMBER], "it ends before its manifest"),
}
"""Members of a file, and the reason for which it is refused."""


@pytest.mark.parametrize(("members", "says"), DISAGREEING.values(), ids=DISAGREEING)
def test_a_manifest_and_volumes_that_do_not_agree(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], says: str
) -> None:
    path = handmade(tmp_path / "b.tar.gz", *members)
    with pytest.raises(BadBackup, match=says), archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")


def test_a_newer_format_names_the_version_that_can_read_it(tmp_path: Path) -> None:
    newer = manifest_of({}, format=2, stackctl="9.0.0", time="another shape")
    path = handmade(tmp_path / "b.tar.gz", LOKI_MEMBER, newer)
    with pytest.raises(BadBackup) as caught, archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")
    assert "has format 2" in caught.value.message
    assert caught.value.remedy == "restore it with stackctl 9.0.0, which wrote it"


@pytest.mark.parametrize(
    "inside",
    [
        tar_of(FOLDER, member("../etc/cron.d/x", b"x")),
        tar_of(FOLDER, member("/etc/cron.d/x", b"x")),
        tar_of(FOLDER, member("volume/../../x", b"x")),
        tar_of(FOLDER, member("elsewhere/x", b"x")),
        tar_of(FOLDER, member("volume/x", type=tarfile.LNKTYPE, linkname="/etc/shadow")),
        tar_of(FOLDER, member("volume/x", type=tarfile.LNKTYPE, linkname="volume/../../x")),
        tar_of(
            FOLDER,
            member("volume/out", type=tarfile.SYMTYPE, linkname="/etc"),
            member("volume/out/passwd", b"x"),
        ),
        tar_of(FOLDER, member("volume/sda", type=tarfile.BLKTYPE, devmajor=8)),
        tar_of(FOLDER, member("volume/mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1)),
        LOKI + tar_of(member("../x", b"x")),
        b"no tar at all" * 100,
    ],
    ids=[
        "parent",
        "absolute",
        "through-parent",
        "elsewhere",
        "hard-link",
        "hard-link-parent",
        "through-a-link",
        "block-device",
        "character-device",
        "behind-the-end",
        "no-tar",
    ],
)
def test_a_volume_that_would_leave_its_place_is_refused(tmp_path: Path, inside: bytes) -> None:
    path = handmade(
        tmp_path / "b.tar.gz",
        member("volumes/loki_data.tar", inside),
        manifest_of({"loki_data": inside}),
    )
    with pytest.raises(BadBackup), archive.reading(path, data.SERVICES):
        pytest.fail("the body must not run")
