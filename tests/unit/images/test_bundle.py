"""The file of a bundle: whole, read by other programs, interrupted, and damaged in every way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackctl import __version__
from stackctl.errors import StackctlError, UsageError
from stackctl.images import bundle
from stackctl.images.bundle import BadBundle, Bundled, Manifest

IMAGE = Bundled(
    name="loki",
    reference="stackctl/loki:local",
    configuration=f"sha256:{'1' * 64}",
    layers=(f"sha256:{'2' * 64}", f"sha256:{'3' * 64}"),
)
MANIFEST = Manifest(
    format=bundle.FORMAT, stackctl=__version__, set="local", inputs="inputs", images=(IMAGE,)
)
LAYER = b"a layer" * 3000
END = 40
"""Bytes of the last frame, which has the checksum."""


def write(path: Path, manifest: Manifest = MANIFEST) -> None:
    with bundle.writing(path, manifest) as tar:
        bundle.add(tar, "layer", LAYER)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "team.bundle"
    write(path)
    return path


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "team.bundle"
    write(path)
    return path.read_bytes()


def with_checksum(compressed: bytes) -> bytes:
    digest = hashlib.sha256(compressed).digest()
    return compressed + struct.pack("<II", 0x184D2A50, 32) + digest


def handmade(path: Path, member: str, text: bytes) -> Path:
    """Write a file with a right checksum, whose tar begins with this member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        bundle.add(tar, member, text)
    path.write_bytes(with_checksum(zstandard.compress(out.getvalue())))
    return path


def refusal(path: Path) -> BadBundle:
    with pytest.raises(BadBundle) as caught, bundle.reading(path):
        pass
    assert "\n" not in caught.value.message
    assert caught.value.remedy
    return caught.value


# Whole


def test_a_bundle_is_read_as_it_was_written(whole: Path, content: bytes) -> None:
    with bundle.reading(whole) as opened:
        assert opened.manifest == MANIFEST
        assert b"".join(opened.archive()) == content == whole.read_bytes()
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]
    assert whole.stat().st_mode & 0o777 == 0o644


def test_other_programs_see_a_tar_compressed_with_zstd(content: bytes) -> None:
    reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
    with tarfile.open(fileobj=io.BytesIO(reader.readall())) as tar:
        found = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    assert list(found) == ["bundle.json", "layer"]
    assert found["layer"] == LAYER
    assert json.loads(found["bundle.json"]) == {
        "format": 2,
        "stackctl": __version__,
        "set": "local",
        "inputs": "inputs",
        "images": [IMAGE.model_dump(mode="json")],
    }


def test_the_last_frame_has_the_checksum_of_all_before(content: bytes) -> None:
    assert with_checksum(content[:-END]) == content


# Interrupted


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, StackctlError("engine")])
def test_an_interrupted_save_leaves_what_was_there(
    whole: Path, content: bytes, interruption: BaseException
) -> None:
    for path in (whole, whole.parent / "new.bundle"):
        with (  # noqa: PT012 - it is interrupted in the middle
            pytest.raises((KeyboardInterrupt, StackctlError)),
            bundle.writing(path, MANIFEST) as tar,
        ):
            bundle.add(tar, "layer", os.urandom(4_000_000))
            raise interruption
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]
    assert whole.read_bytes() == content


def test_the_next_save_removes_what_a_killed_one_left(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "team.bundle"
    read, written = os.pipe()
    killed = os.fork()
    if killed == 0:
        with bundle.writing(path, MANIFEST):
            os.write(written, b"!")
            os.kill(os.getpid(), 9)
    assert os.read(read, 1) == b"!"
    os.waitpid(killed, 0)
    (left,) = tmp_path.iterdir()
    assert left.name != path.name
    write(path)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == content


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(StackctlError, match="No space left on device") as caught,
        bundle.writing(tmp_path / "team.bundle", MANIFEST),
    ):
        raise OSError(28, "No space left on device")
    assert "enough space for the images" in (caught.value.remedy or "")
    assert not list(tmp_path.iterdir())


# Damaged


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused(whole: Path, content: bytes, place: int, bit: int) -> None:
    data = bytearray(content)
    data[place % len(data)] ^= 1 << bit
    whole.write_bytes(data)
    refusal(whole)


def test_a_file_that_is_cut_off_anywhere_is_refused(whole: Path, content: bytes) -> None:
    for length in range(len(content)):
        whole.write_bytes(content[:length])
        refusal(whole)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(garbage=st.binary(max_size=4000), magic=st.booleans())
def test_anything_else_is_refused(whole: Path, garbage: bytes, magic: bool) -> None:
    whole.write_bytes((zstandard.FRAME_HEADER if magic else b"") + garbage)
    refusal(whole)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(garbage=st.binary(max_size=4000), compressed=st.booleans())
def test_anything_else_with_a_right_checksum_is_refused(
    whole: Path, garbage: bytes, compressed: bool
) -> None:
    body = zstandard.compress(garbage) if compressed else zstandard.FRAME_HEADER + garbage
    whole.write_bytes(with_checksum(body))
    assert "it has no manifest" in refusal(whole).message


def test_what_is_appended_is_noticed(whole: Path) -> None:
    whole.write_bytes(whole.read_bytes() + b"more")
    assert "its end is missing" in refusal(whole).message


def test_a_wrong_checksum_is_named(whole: Path, content: bytes) -> None:
    whole.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "checksum mismatch" in refusal(whole).message


def test_the_format_before_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "old.bundle"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        bundle.add(tar, "bundle.json", json.dumps({"format": 1, "stackctl": "0.1"}).encode())
    error = refusal(path)
    assert error.message.endswith(f"has format 1, but stackctl {__version__} requires format 2")
    assert error.remedy == "save it again with `stackctl images save`"


def test_a_newer_format_names_the_stackctl_that_wrote_it(tmp_path: Path) -> None:
    text = json.dumps({"format": 3, "stackctl": "9.1"}).encode()
    error = refusal(handmade(tmp_path / "new.bundle", "bundle.json", text))
    assert "has format 3" in error.message
    assert error.remedy == "load it with stackctl 9.1, which wrote it"


@pytest.mark.parametrize(
    ("member", "changes"),
    [
        ("manifest.json", {}),
        ("bundle.json", {"images": []}),
        ("bundle.json", {"set": "other"}),
        *(
            ("bundle.json", {"images": [IMAGE.model_dump(mode="json") | changes]})
            for changes in (
                *({"reference": reference} for reference in ("--all", "a b", "x\ny", "")),
                {"configuration": "1"},
                {"layers": ["sha256:x"]},
            )
        ),
        ("bundle.json", {"stackctl": "x" * 1024 * 1024}),
    ],
)
def test_a_manifest_that_no_save_writes_is_refused(
    tmp_path: Path, member: str, changes: dict[str, Any]
) -> None:
    text = json.dumps(MANIFEST.model_dump(mode="json") | changes).encode()
    path = handmade(tmp_path / "team.bundle", member, text)
    assert "it has no manifest" in refusal(path).message


def test_of_a_bomb_no_more_than_the_beginning_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "team.bundle"
    path.write_bytes(with_checksum(zstandard.compress(bytes(512 * 1024 * 1024))))
    assert "it has no manifest" in refusal(path).message


@pytest.mark.parametrize("name", ["nowhere", ".", "pipe"])
def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="cannot read"), bundle.reading(tmp_path / name):
        pass
