"""An engine without Docker that has images: it saves and loads them as tars, and pulls from a registry in memory."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from stackctl.docker.images import Content
from stackctl.errors import EngineError
from stackctl.images import sets
from tests.support.engine import MemoryEngine


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class FakeImage:
    """An image by its layers. `name` makes its configuration, and with it its ID, another one."""

    name: str
    layers: tuple[bytes, ...]
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def config(self) -> bytes:
        layers = [sha256(layer) for layer in self.layers]
        return json.dumps([self.name, layers, self.labels]).encode()

    @property
    def id(self) -> str:
        return f"sha256:{sha256(self.config)}"

    @property
    def content(self) -> Content:
        """What an engine says of it, whatever ID it gives it."""
        layers = tuple(f"sha256:{sha256(layer)}" for layer in self.layers)
        return Content(f"sha256:{sha256(self.name.encode())}", layers)

    @property
    def manifest(self) -> bytes:
        """What containerd's store names it by, as far as `docker save` is read for it."""
        return json.dumps({"config": {"digest": self.id}, "layers": []}).encode()

    @property
    def digest(self) -> str:
        return f"sha256:{sha256(b'manifest of ' + self.config)}"


@dataclass
class Registry:
    """What a registry has by reference, and what it says instead, once for each time that it is listed."""

    images: dict[str, FakeImage] = field(default_factory=dict)
    says: dict[str, list[str]] = field(default_factory=dict)


class ImageEngine(MemoryEngine):
    """Keeps its images by reference; those pulled have a digest, as a loaded one has not."""

    manifests = False
    """Whether `docker save` has the images' manifests too."""

    def __init__(self, registry: Registry | None = None) -> None:
        super().__init__()
        self.images: dict[str, FakeImage] = {}
        self.digests: dict[str, dict[str, str]] = {}
        self.registry = registry or Registry()
        self.pulls: list[str] = []
        self.loads: list[str] = []
        self.builds = 0
        self.demo_fails = False
        self.demo_arguments: dict[str, str] = {}

    def image_id(self, reference: str) -> str | None:
        return self._config_id(reference)

    def _config_id(self, reference: str) -> str | None:
        tag, _, digest = reference.partition("@")
        repository = tag.rpartition(":")[0]
        if digest:
            found = [one for one in self._known if self._known[one] == (repository, digest)]
            return found[0] if found else None
        return self.images[tag].id if tag in self.images else None

    @property
    def _known(self) -> dict[str, tuple[str, str]]:
        return {
            id_: (repository, digest)
            for id_, known in self.digests.items()
            for repository, digest in known.items()
        }

    def image_content(self, reference: str) -> Content | None:
        tag, _, digest = reference.partition("@")
        every = (*self.images.values(), *self.registry.images.values())
        known = self._config_id(reference)
        if not digest:
            return self.images[tag].content if tag in self.images else None
        return next((image.content for image in every if image.id == known), None)

    def image_labels(self, reference: str) -> dict[str, str]:
        return self.labels_of_images([reference]).get(reference, {})

    def labels_of_images(self, references: Sequence[str]) -> dict[str, dict[str, str]]:
        return {one: dict(self.images[one].labels) for one in references if one in self.images}

    def image_digests(self, reference: str) -> dict[str, str]:
        return self.digests.get(self._config_id(reference) or "", {})

    def pull(self, reference: str) -> None:
        self.pulls.append(reference)
        said = self.registry.says.get(reference)
        if said:
            raise EngineError(said.pop(0))
        tag, _, digest = reference.partition("@")
        if digest:
            found = [one for one in self.registry.images.values() if one.digest == digest]
        else:
            found = [self.registry.images[tag]] if tag in self.registry.images else []
        if not found:
            raise EngineError("manifest unknown")
        if not digest:
            self.images[tag] = found[0]
        self.digests[found[0].id] = {tag.rpartition(":")[0]: found[0].digest}

    def build(
        self,
        build_file: Path,
        arguments: Mapping[str, str] = {},
        labels: Mapping[str, Mapping[str, str]] | None = None,
        *,
        authorities: Path | None = None,
    ) -> Iterator[str]:
        self.builds += 1
        for name, own in (labels or {}).items():
            reference = sets.built(build_file.stem)[name]
            self.images[reference] = FakeImage(reference, (b"base",), tuple(own.items()))
        if build_file.stem == "demo":
            self.demo_arguments = dict(arguments)
            if self.demo_fails:
                raise EngineError("docker compose build failed (exit 17): failed to solve")
            self.images["stackctl/demo:upstream"] = FakeImage("demo", (b"base",))
        yield from ()

    def save_images(self, references: Sequence[str]) -> Iterator[bytes]:
        by_id = {
            image.id: image for image in (*self.images.values(), *self.registry.images.values())
        }
        yield docker_save(
            {one: by_id[self._config_id(one) or ""] for one in references}, self.manifests
        )

    def load_image(self, archive: Iterable[bytes]) -> None:
        # As the engine does, it takes what is compressed, and ignores skippable frames and unknown members.
        reader = zstandard.ZstdDecompressor().stream_reader(
            b"".join(archive), read_across_frames=True
        )
        with tarfile.open(fileobj=io.BytesIO(reader.readall())) as tar:
            content = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
        for entry in json.loads(content["manifest.json"]):
            name, _, labels = json.loads(content[entry["Config"]])
            layers = tuple(content[layer] for layer in entry["Layers"])
            for tag in entry["RepoTags"]:
                self.images[tag] = FakeImage(name, layers, tuple(map(tuple, labels)))
                self.loads.append(tag)


class ContainerdEngine(ImageEngine):
    """An engine with containerd's store: other IDs, which it also takes for the digests of what it loaded or built."""

    manifests = True

    def image_id(self, reference: str) -> str | None:
        found = super().image_id(reference)
        every = (*self.images.values(), *self.registry.images.values())
        return next((f"sha256:{sha256(one.manifest)}" for one in every if one.id == found), None)

    def image_digests(self, reference: str) -> dict[str, str]:
        id_ = self.image_id(reference)
        return super().image_digests(reference) or (
            {reference.rpartition(":")[0]: id_} if id_ else {}
        )


def docker_save(images: dict[str, FakeImage], manifests: bool = False) -> bytes:
    """The tar that `docker save` gives of images by reference: every blob once, sorted, and then the list."""
    blobs = {sha256(image.config): image.config for image in images.values()}
    blobs |= {sha256(layer): layer for image in images.values() for layer in image.layers}
    if manifests:
        blobs |= {sha256(image.manifest): image.manifest for image in images.values()}
    by_image: dict[FakeImage, list[str]] = {}
    for reference, image in images.items():
        # One that is saved by digest has no tag in the list.
        by_image.setdefault(image, []).extend([] if "@" in reference else [reference])
    listed = [
        {
            "Config": f"blobs/sha256/{sha256(image.config)}",
            "RepoTags": tags or None,
            "Layers": [f"blobs/sha256/{sha256(layer)}" for layer in image.layers],
        }
        for image, tags in by_image.items()
    ]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        files = {f"blobs/sha256/{name}": blob for name, blob in sorted(blobs.items())}
        for name, content in {**files, "manifest.json": json.dumps(listed).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
