"""The file of a bundle: whole, gone on with after a save was cut off, and damaged in every way."""

from __future__ import annotations

import fcntl
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackctl.errors import StackctlError, UsageError
from stackctl.images import bundle
from stackctl.images.bundle import BadBundle, Bundled, Content, Head, Manifest
from tests.support.images import FakeImage, sha256

SHARED = b"a layer that both have" * 3000
FIRST = FakeImage("first", (SHARED, b"first's own"))
SECOND = FakeImage("second", (SHARED, b""))
IMAGES = {"stackctl/first:local": FIRST, "stackctl/second:local": SECOND}
BLOBS = {sha256(blob): blob for image in IMAGES.values() for blob in (image.config, *image.layers)}
HEAD = bundle.head_of(
    "local",
    "inputs",
    tuple(
        Bundled(name=image.name, reference=reference, id=image.id)
        for reference, image in IMAGES.items()
    ),
)
CONTENTS = tuple(
    Content(config=sha256(image.config), layers=tuple(map(sha256, image.layers)))
    for image in IMAGES.values()
)


def write(path: Path, head: Head = HEAD) -> Manifest:
    with bundle.writing(path, head) as writer:
        for name, blob in BLOBS.items():
            if not writer.has(name):
                writer.add(name, io.BytesIO(blob))
        return writer.close(CONTENTS)


def archives(path: Path) -> dict[str, bytes]:
    with bundle.reading(path) as opened:
        return {one.reference: b"".join(opened.archive(one)) for one in opened.manifest.images}


def partial_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


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


@pytest.fixture(scope="module")
def expected(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("bundle") / "team.bundle"
    path.write_bytes(content)
    return archives(path)


def handmade(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.type = kind
            tar.addfile(info, io.BytesIO(data))
    # The library fills up to a record, where a bundle ends with two blocks.
    with tarfile.open(path) as tar:
        end = max(one.offset_data + one.size + -one.size % 512 for one in tar)
    path.write_bytes(path.read_bytes()[:end] + bytes(1024))
    return path


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def manifest_of(members: dict[str, bytes]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        zstandard.ZstdDecompressor().decompress(members["manifest.json.zst"])
    )
    return found


def with_manifest(members: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    text = json.dumps({**manifest_of(members), **changes}).encode()
    return {**members, "manifest.json.zst": zstandard.compress(text)}


def refusal(path: Path) -> str:
    with pytest.raises(BadBundle) as caught, bundle.reading(path):
        pass
    assert "\n" not in caught.value.message
    assert caught.value.remedy
    return caught.value.message


# Whole


def test_each_image_comes_back_as_a_tar_that_docker_loads(whole: Path) -> None:
    for reference, archive in archives(whole).items():
        image = IMAGES[reference]
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            content = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
        assert list(content)[-1] == "manifest.json"
        (entry,) = json.loads(content["manifest.json"])
        assert entry["RepoTags"] == [reference]
        assert content[entry["Config"]] == image.config
        assert tuple(content[layer] for layer in entry["Layers"]) == image.layers


def test_a_layer_that_images_share_is_stored_once(whole: Path) -> None:
    names = list(members_of(whole))
    assert sorted(names[1:-1]) == sorted(f"blobs/sha256/{name}.zst" for name in BLOBS)
    assert (names[0], names[-1]) == ("bundle.json", "manifest.json.zst")


def test_the_manifest_tells_what_is_in_it(whole: Path) -> None:
    members = members_of(whole)
    manifest = manifest_of(members)
    assert (manifest["format"], manifest["set"], manifest["inputs"]) == (1, "local", "inputs")
    assert manifest["images"][0] == {
        "name": "first",
        "reference": "stackctl/first:local",
        "id": FIRST.id,
    }
    for part in manifest["parts"]:
        stored = members[f"blobs/sha256/{part['content']}.zst"]
        assert part["size"] == len(BLOBS[part["content"]])
        assert (part["stored"], part["sha256"]) == (len(stored), sha256(stored))


def test_nothing_is_left_beside_a_bundle(whole: Path) -> None:
    assert [path.name for path in whole.parent.iterdir()] == [whole.name]


# Gone on with


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The blobs that are compressed from now on."""
    done: list[str] = []
    add = bundle.Writer.add

    def counting(self: bundle.Writer, content: str, blob: Any) -> None:
        done.append(content)
        add(self, content, blob)

    monkeypatch.setattr(bundle.Writer, "add", counting)
    return done


def cut_off(path: Path, after: int, head: Head = HEAD) -> None:
    """Leave what a save leaves that is killed with so many parts finished, and one begun."""
    with bundle.writing(path, head) as writer:
        for name in list(BLOBS)[:after]:
            writer.add(name, io.BytesIO(BLOBS[name]))
    with partial_of(path).open("ab") as stream:
        stream.write(bytes(512) + b"half of a part")


@pytest.mark.parametrize("after", range(len(BLOBS) + 1))
def test_a_save_that_was_cut_off_goes_on_where_it_was(
    tmp_path: Path, counted: list[str], after: int, content: bytes
) -> None:
    path = tmp_path / "team.bundle"
    cut_off(path, after)
    counted.clear()
    write(path)
    assert counted == list(BLOBS)[after:]
    assert path.read_bytes() == content


def test_one_that_was_cut_off_at_any_byte_is_gone_on_with(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "team.bundle"
    for length in range(0, len(content), 97):
        partial_of(path).write_bytes(content[:length])
        write(path)
        assert path.read_bytes() == content


def test_a_part_that_is_not_what_it_was_is_compressed_again(
    tmp_path: Path, counted: list[str], content: bytes
) -> None:
    path = tmp_path / "team.bundle"
    cut_off(path, 3)
    data = bytearray(partial_of(path).read_bytes())
    data[data.index(b"\x28\xb5\x2f\xfd", data.index(list(BLOBS)[1].encode())) + 8] ^= 1
    partial_of(path).write_bytes(data)
    counted.clear()
    write(path)
    assert counted == list(BLOBS)[1:]
    assert path.read_bytes() == content


def test_what_was_begun_of_other_images_is_not_gone_on_with(
    tmp_path: Path, counted: list[str], content: bytes
) -> None:
    path = tmp_path / "team.bundle"
    cut_off(path, 3, bundle.head_of("upstream", None, HEAD.images))
    counted.clear()
    write(path)
    assert counted == list(BLOBS)
    assert path.read_bytes() == content


def test_a_blob_with_another_content_is_refused_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "team.bundle"
    name = next(iter(BLOBS))
    with (
        pytest.raises(StackctlError, match="another content"),
        bundle.writing(path, HEAD) as writer,
    ):
        writer.add(name, io.BytesIO(b"something else"))
    with bundle.writing(path, HEAD) as writer:
        assert writer.resumed == 0


def test_two_saves_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "team.bundle"
    with (
        bundle.writing(path, HEAD),
        pytest.raises(StackctlError, match="another stackctl is writing"),
        bundle.writing(path, HEAD),
    ):
        pass


def test_a_save_that_ends_while_another_begins_keeps_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = tmp_path / "team.bundle"
    partial_of(path).write_bytes(content)
    flock = fcntl.flock

    def after_the_other(*arguments: Any) -> None:
        partial_of(path).replace(path)
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", after_the_other)
    with (
        pytest.raises(StackctlError, match="another stackctl is writing"),
        bundle.writing(path, HEAD),
    ):
        pass
    assert path.read_bytes() == content


def test_no_room_is_one_line_that_says_how_to_go_on(tmp_path: Path) -> None:
    with (
        pytest.raises(StackctlError, match="No space left on device") as caught,
        bundle.writing(tmp_path / "team.bundle", HEAD),
    ):
        raise OSError(28, "No space left on device")
    assert "save again" in (caught.value.remedy or "")


# Damaged


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_no_content(
    whole: Path, content: bytes, expected: dict[str, bytes], place: int, bit: int
) -> None:
    data = bytearray(content)
    data[place % len(data)] ^= 1 << bit
    whole.write_bytes(data)
    try:
        found = archives(whole)
    except BadBundle as error:
        assert "\n" not in error.message
    else:
        assert found == expected


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(length=st.integers(0))
def test_a_truncated_file_is_refused(whole: Path, content: bytes, length: int) -> None:
    whole.write_bytes(content[: length % len(content)])
    refusal(whole)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rubbish=st.binary(max_size=4000))
def test_anything_else_is_refused(whole: Path, rubbish: bytes) -> None:
    whole.write_bytes(rubbish)
    refusal(whole)


def test_what_goes_on_behind_its_end_is_refused(whole: Path) -> None:
    whole.write_bytes(whole.read_bytes() + b"more")
    assert "does not end behind its manifest" in refusal(whole)


def test_a_newer_format_names_the_stackctl_that_wrote_it(whole: Path) -> None:
    members = members_of(whole)
    newer = json.loads(members["bundle.json"]) | {"format": 2, "stackctl": "9.1"}
    handmade(whole, {**members, "bundle.json": json.dumps(newer).encode()})
    with pytest.raises(BadBundle, match="has format 2") as caught, bundle.reading(whole):
        pass
    assert caught.value.remedy == "load it with stackctl 9.1, which wrote it"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "blobs/sha256/../../../etc/passwd.zst",
        f"blobs/sha256/{'0' * 63}/.zst",
        "extra",
    ],
)
def test_a_name_that_no_part_has_is_refused(whole: Path, name: str) -> None:
    head, *rest = members_of(whole).items()
    handmade(whole, dict([head, (name, b"content"), *rest]))
    assert "is not a bundle" in refusal(whole)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, b"x", b"L"])
def test_a_member_that_is_no_plain_file_is_refused(whole: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("bundle.json")
    info.type = kind
    info.linkname = "/etc/passwd"
    whole.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "is not a bundle" in refusal(whole)


def test_a_wrong_checksum_names_the_part(whole: Path) -> None:
    members = members_of(whole)
    parts = manifest_of(members)["parts"]
    parts[1]["sha256"] = "0" * 64
    handmade(whole, with_manifest(members, parts=parts))
    assert f"the checksum of the part {parts[1]['content'][:12]}" in refusal(whole)


def test_parts_that_are_not_those_of_the_manifest_are_refused(whole: Path) -> None:
    members = members_of(whole)
    del members[f"blobs/sha256/{next(iter(BLOBS))}.zst"]
    handmade(whole, members)
    assert "its parts are not those of its manifest" in refusal(whole)


def test_a_head_of_another_bundle_is_refused(whole: Path) -> None:
    members = members_of(whole)
    handmade(whole, with_manifest(members, inputs="others"))
    assert "its head and its manifest differ" in refusal(whole)


@pytest.mark.parametrize("reference", ["--all", "a b", "x\ny", ""])
def test_a_reference_that_is_none_is_refused(whole: Path, reference: str) -> None:
    members = members_of(whole)
    images = manifest_of(members)["images"]
    images[0]["reference"] = reference
    handmade(whole, with_manifest(members, images=images))
    assert "is not a bundle" in refusal(whole)


def test_an_image_without_its_parts_is_refused(whole: Path) -> None:
    members = members_of(whole)
    contents = manifest_of(members)["contents"]
    contents[0]["layers"] = ["0" * 64]
    handmade(whole, with_manifest(members, contents=contents))
    assert "is not a bundle" in refusal(whole)


def replaced(path: Path, name: str, stored: bytes, **changes: Any) -> None:
    """Put another part in the place of one, with its checksums in the manifest right."""
    members = members_of(path)
    parts = manifest_of(members)["parts"]
    for part in parts:
        if part["content"] == name:
            part.update(stored=len(stored), sha256=sha256(stored), **changes)
    handmade(path, with_manifest({**members, f"blobs/sha256/{name}.zst": stored}, parts=parts))


def pieces(path: Path) -> Iterator[bytes]:
    with bundle.reading(path) as opened:
        yield from opened.archive(opened.manifest.images[0])


@pytest.mark.parametrize(
    "stored",
    [zstandard.compress(b"somebody else's"), b"not compressed", zstandard.compress(SHARED)[:-9]],
    ids=["another content", "not compressed", "cut off"],
)
def test_a_part_that_is_not_what_its_name_says_ends_the_tar_before_it_is_an_image(
    whole: Path, stored: bytes
) -> None:
    replaced(whole, sha256(SHARED), stored)
    given_: list[bytes] = []
    with pytest.raises(BadBundle, match="is damaged"):
        given_.extend(pieces(whole))
    assert b"manifest.json" not in b"".join(given_)


def test_a_part_that_unpacks_to_more_than_it_says_is_stopped(whole: Path) -> None:
    bomb = zstandard.compress(bytes(512 * 1024 * 1024))
    replaced(whole, sha256(SHARED), bomb)
    length = 0
    with pytest.raises(BadBundle):  # noqa: PT012 - what came before it counts
        for piece in pieces(whole):
            length += len(piece)
            assert len(piece) <= 1024 * 1024
    assert length < 4 * 1024 * 1024


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"), bundle.reading(tmp_path / name):
        pass
