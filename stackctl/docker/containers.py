"""Operations on existing containers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from stackctl.docker.command import Command
from stackctl.docker.errors import NoContainerError, translated
from stackctl.docker.models import SERVICE_LABEL, Surroundings, Usage, labels_of, name_of
from stackctl.errors import EngineError

_REMOVAL_SECONDS = 10.0
_STATS_SECONDS = 1.0
"""The time between the two readings of `docker stats`."""
_AT_ONCE = 4
"""How many containers to query concurrently."""


class Containers(Command):
    """Operations on the engine's containers, by ID or name."""

    def stop(self, container: str, *, timeout: int = 10) -> None:
        """Stop a container: SIGTERM, then SIGKILL after `timeout` seconds."""
        with translated("docker stop"):
            self._client.container.stop(container, time=timeout)

    def start(self, container: str) -> None:
        """Start a stopped container."""
        with translated("docker start"):
            self._client.container.start(container)

    def restart(self, container: str, *, timeout: int = 10) -> None:
        """Stop a container as `stop` does, and start it again."""
        with translated("docker restart"):
            self._client.container.restart(container, time=timeout)

    def kill(self, container: str) -> None:
        """Send SIGKILL to a container's process."""
        with translated("docker kill"):
            self._client.container.kill(container)

    def pause(self, container: str) -> None:
        """Freeze a container's processes."""
        with translated("docker pause"):
            self._client.container.pause(container)

    def unpause(self, container: str) -> None:
        """Resume a paused container."""
        with translated("docker unpause"):
            self._client.container.unpause(container)

    def disconnect(self, container: str, network: str) -> None:
        """Disconnect a container from a network."""
        with translated("docker network disconnect"):
            self._client.network.disconnect(network, container, force=True)

    def connect(self, container: str, network: str, options: Sequence[str] | None = None) -> None:
        """Connect a container to a network; do nothing if it is connected or no longer exists.

        `options` are the result of `connection`; by default it gets its service's name as an alias.
        """
        for found in self.inspect([container]):
            networks = found["NetworkSettings"]["Networks"] or {}
            # A failed attempt leaves the network in the list without an ID.
            if (networks.get(network) or {}).get("NetworkID"):
                return
            if options is None:
                options = ["--alias", labels_of(found).get(SERVICE_LABEL, name_of(found))]
            command = [*self._client.client_config.docker_cmd, "network", "connect"]
            from python_on_whales.utils import run

            with contextlib.suppress(NoContainerError), translated("docker network connect"):
                # The library's method accepts only one alias.
                run([*command, *options, network, container])

    def connection(self, container: str, network: str) -> tuple[str, ...]:
        """Return the options of `docker network connect` that recreate a container's connection to a network.

        They are its aliases and the addresses that the user chose, not those that Docker assigned. Empty if it is not
        on the network or no longer exists.
        """
        for found in self.inspect([container]):
            endpoint = (found["NetworkSettings"]["Networks"] or {}).get(network) or {}
            chosen = endpoint.get("IPAMConfig") or {}
            # Older engines list the short ID among the aliases, and add it by themselves.
            aliases = [one for one in endpoint.get("Aliases") or () if one != found["Id"][:12]]
            options = [
                *(("--alias", alias) for alias in aliases),
                *(("--ip", ip) for ip in [chosen.get("IPv4Address")] if ip),
                *(("--ip6", ip) for ip in [chosen.get("IPv6Address")] if ip),
            ]
            return tuple(word for option in options for word in option)
        return ()

    def surroundings(self, container: str) -> Surroundings:
        """Return a container's memory limit, networks and writable volumes."""
        with translated("docker container inspect"):
            found = self._client.container.inspect(container)
        return Surroundings(
            memory_limit_bytes=found.host_config.memory or 0,
            network_mode=found.host_config.network_mode or "",
            networks=tuple(found.network_settings.networks or {}),
            volumes={
                str(mount.destination): mount.name
                for mount in found.mounts
                if mount.type == "volume" and mount.rw and mount.name
            },
        )

    def published(self, container: str, port: int) -> tuple[str, int] | None:
        """Return the engine's address and port at which a container's TCP port is published; None if it is not."""
        for found in self.inspect([container]):
            binds = (found["NetworkSettings"]["Ports"] or {}).get(f"{port}/tcp")
            if binds:
                return binds[0]["HostIp"] or "0.0.0.0", int(binds[0]["HostPort"])  # noqa: S104 - it is read
        return None

    def last_logs(self, container: str, lines: int) -> str:
        """Return the last lines of a container's log, of both streams."""
        with translated("docker logs"):
            text = self._client.container.logs(container, tail=lines)
        assert isinstance(text, str)  # noqa: S101 - the library's type for a call that does not stream
        return text

    def follow_logs(
        self, container: str, *, lines: int, follow: bool
    ) -> Iterator[tuple[str, bytes]]:
        """Yield (stream, line) of a container's log, starting with its last `lines` lines."""
        with translated("docker logs"):
            stream = self._client.container.logs(container, tail=lines, follow=follow, stream=True)
            if isinstance(stream, str):
                raise EngineError("docker logs did not stream")
            yield from stream

    def usage(self, containers: Sequence[str]) -> dict[str, Usage]:
        """Return the resource usage of running containers, by name; stopped ones are left out.

        With the engine's socket it is one reading, so the CPU usage is the mean since the container's start. With
        `docker stats` it is two readings a second apart, for which the engine takes two seconds.
        """
        if not containers:
            return {}
        if self._socket is not None:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                read = dict(zip(containers, pool.map(self._socket.usage, containers), strict=True))
            return {name: one for name, one in read.items() if one is not None}
        with translated("docker stats"):
            stats = self._client.container.stats(list(containers))
        return {
            row.container_name: Usage(
                row.cpu_percentage, row.memory_used, row.memory_limit, _STATS_SECONDS
            )
            for row in stats
        }

    def execute(self, container: str, command: Sequence[str]) -> str:
        """Run a command in a running container and return its stdout. Raises EngineError if it fails."""
        printed, error = self._run(("exec", container, *command), waits=True)
        if error is not None:
            raise error
        # As in the library, without the final newline.
        return printed.removesuffix("\n")

    def execute_detached(self, container: str, command: Sequence[str]) -> None:
        """Start a command in a running container without waiting for it. Raises EngineError if it does not start."""
        with translated(f"docker exec {command[0]}"):
            self._client.container.execute(container, list(command), detach=True)

    def remove(self, name: str) -> None:
        """Remove a container and its unnamed volumes by its name, and wait until the name is free.

        The engine may already be removing it; nothing happens if it does not exist.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

        attempts = Retrying(
            stop=stop_after_delay(_REMOVAL_SECONDS),
            wait=wait_fixed(0.1),
            retry=retry_if_exception_type(EngineError),
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                if self.inspect([name]):
                    with contextlib.suppress(NoContainerError), translated("docker rm"):
                        self._client.container.remove(name, force=True, volumes=True)
