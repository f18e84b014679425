"""Operations on the engine's images."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stackctl.docker import build_network
from stackctl.docker.command import Command
from stackctl.docker.errors import NoImageError, failed, translated

if TYPE_CHECKING:
    from python_on_whales import Image

_PIECE = 1024 * 1024
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an image, which is the same in every engine, while its ID depends on the image store.

    `configuration` is a digest of what containers inherit from the image, its platform and its creation time. `layers`
    are the digests of its uncompressed layers, lowest first (OCI image specification, rootfs.diff_ids).
    """

    configuration: str
    layers: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of the content."""
        listed = json.dumps([self.configuration, *self.layers])
        return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


class Images(Command):
    """Operations on the engine's images, by reference."""

    def image_id(self, reference: str) -> str | None:
        """Return the ID of a local image; None if no image has that reference."""
        return self._of_image(reference, lambda image: image.id, None)

    def image_labels(self, reference: str) -> dict[str, str]:
        """Return the labels of a local image; empty if the image does not exist."""
        return self._of_image(
            reference, lambda image: (image.config and image.config.labels) or {}, {}
        )

    def labels_of_images(self, references: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the labels of the images that exist locally, by reference, with one query."""
        printed, error = self._run(("image", "inspect", *references))
        # Existing ones are printed nevertheless.
        if error is not None and not isinstance(error, NoImageError):
            raise error
        return {
            reference: image["Config"]["Labels"] or {}
            for image in json.loads(printed or "[]")
            for tag in image["RepoTags"]
            for reference in references
            # Podman prefixes the registry.
            if tag == reference or tag.endswith(f"/{reference}")
        }

    def image_digests(self, reference: str) -> dict[str, str]:
        """Return a local image's registry digests by repository; empty if the image does not exist."""
        return self._of_image(
            reference,
            lambda image: dict(one.split("@", 1) for one in image.repo_digests or []),
            {},
        )

    def image_content(self, reference: str) -> Content | None:
        """Return the content of a local image; None if no image has that reference."""
        printed, error = self._run(("image", "inspect", reference))
        if isinstance(error, NoImageError):
            return None
        if error is not None:
            raise error
        (image,) = json.loads(printed)
        return _content(image)

    def _of_image(self, reference: str, read: Callable[[Image], _T], otherwise: _T) -> _T:
        """Return what `read` takes from a local image, or the default if the image does not exist."""
        # Read inside of the block, because the library may query the engine again for an attribute.
        with contextlib.suppress(NoImageError), translated("docker image inspect"):
            image = self._client.image.inspect(reference)
            assert not isinstance(image, list)  # noqa: S101 - one reference gives one image
            return read(image)
        return otherwise

    def save_images(self, references: Sequence[str]) -> Iterator[bytes]:
        """Yield the chunks of `docker save` for local images: a tar with shared layers stored once."""
        with self._piped("save", *references, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            while piece := process.stdout.read(_PIECE):
                yield piece

    def load_image(self, archive: Iterable[bytes]) -> None:
        """Load the images of a tar from `docker save`, in chunks; a truncated tar loads none.

        Raises EngineError if the engine rejects it, and whatever the iterable raises.
        """
        with self._piped("load", "--quiet", stdin=subprocess.PIPE) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            # A command that rejects the tar early stops reading; its exit code and stderr show why.
            with contextlib.suppress(BrokenPipeError):
                for piece in archive:
                    process.stdin.write(piece)
                process.stdin.close()

    @contextlib.contextmanager
    def _piped(
        self,
        *arguments: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run an image command with piped data; the library would write its messages to this process's stderr."""
        command = [*map(str, self._client.client_config.docker_cmd), "image", *arguments]
        with translated(f"docker {arguments[0]}"), tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)
            try:
                yield process
                code = process.wait()
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        # The process may have exited before it read everything.
                        with contextlib.suppress(BrokenPipeError):
                            pipe.close()
            if code != 0:
                stderr.seek(0)
                raise failed(command, code, stderr.read())

    def pull(self, reference: str) -> None:
        """Pull an image. Raises EngineError if that fails."""
        with translated("docker pull"):
            self._client.image.pull(reference, quiet=True)

    def import_image(self, archive: Path, reference: str, labels: dict[str, str]) -> None:
        """Create an image with one layer from a tar archive of a root file system."""
        changes = [f'LABEL "{name}"="{value}"' for name, value in labels.items()]
        with translated("docker import"):
            self._client.image.import_(archive, tag=reference, changes=changes)

    def build(
        self,
        build_file: Path,
        arguments: Mapping[str, str] = {},
        labels: Mapping[str, Mapping[str, str]] | None = None,
        *,
        authorities: Path | None = None,
    ) -> Iterator[str]:
        """Build the images of a compose file, and yield the builder's output lines.

        With `labels`, only the images of these services are built, with these labels. `authorities` is a PEM file with
        certificate authorities, which the build receives as the secret `ca`.
        """
        from python_on_whales import DockerClient

        with translated("docker compose build"), tempfile.NamedTemporaryFile("w") as overlay:
            # In a private file, because a proxy's address may contain a password, and command lines are visible to all.
            json.dump(build_network.overlay(build_file, labels, authorities), overlay)
            overlay.flush()
            builder = DockerClient(compose_files=[build_file, overlay.name])
            lines = builder.compose.build(
                services=None if labels is None else list(labels),
                build_args=dict(arguments),
                stream_logs=True,
                progress="plain",
            )
            for _, line in lines or ():
                yield line.decode(errors="replace").rstrip()


_PLATFORM = ("Architecture", "Created", "Os", "Variant")
_INHERITED = (
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell"),
    *("StopSignal", "User", "Volumes", "WorkingDir"),
)
"""Members of `docker image inspect` and of its Config that come from the image's configuration."""


def _content(image: Mapping[str, Any]) -> Content:
    config = image["Config"] or {}
    members = {name: image.get(name) for name in _PLATFORM}
    members |= {name: config.get(name) for name in _INHERITED}
    # Some engines list members without a value, some do not.
    listed = json.dumps({name: one for name, one in members.items() if one}, sort_keys=True)
    digest = hashlib.sha256(listed.encode()).hexdigest()
    return Content(f"sha256:{digest}", tuple(image["RootFS"].get("Layers") or ()))
