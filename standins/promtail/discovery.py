"""Docker service discovery: a running container as the labels that docker_sd_configs documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standins.promtail.config import DockerConfig
from standins.shared.docker import Docker, label_name

META = "__meta_docker_"
NAME = f"{META}container_name"
LOG_STREAM = f"{META}container_log_stream"

Labels = dict[str, str]


async def discover(docker: Docker, config: DockerConfig) -> dict[str, Labels]:
    """Return the labels of every running container that the filters choose, by container ID. Raises DockerError.

    A container in several networks or with several ports is one source of logs; Promtail takes the labels of the
    first that it finds, and so does the stand-in.
    """
    networks = {network["Id"]: _network(network) for network in await docker.get("/networks")}
    containers = await docker.containers(config.filters)
    return {
        container["Id"]: _labels(container, networks, config)
        for container in containers
        if container.get("Names")
    }


def _labels(
    container: Mapping[str, Any], networks: Mapping[str, Labels], config: DockerConfig
) -> Labels:
    mode = container["HostConfig"]["NetworkMode"]
    labels = {
        f"{META}container_id": container["Id"],
        NAME: container["Names"][0],
        f"{META}container_network_mode": mode,
    }
    for name, value in (container.get("Labels") or {}).items():
        labels[f"{META}container_label_{label_name(name)}"] = value
    attached = container.get("NetworkSettings", {}).get("Networks") or {}
    network = next(iter(attached.values()), None)
    address = network["IPAddress"] if network else ""
    if network:
        labels[f"{META}network_ip"] = address
        labels |= networks.get(network["NetworkID"], {})
    port = next((port for port in container.get("Ports") or () if port["Type"] == "tcp"), None)
    if port:
        labels[f"{META}port_private"] = str(port["PrivatePort"])
        if port.get("PublicPort"):
            labels[f"{META}port_public"] = str(port["PublicPort"])
            labels[f"{META}port_public_ip"] = port.get("IP", "")
    number = port["PrivatePort"] if port else config.port
    host_mode = mode == "host"
    labels["__address__"] = config.host_networking_host if host_mode else f"{address}:{number}"
    return labels


def _network(network: Mapping[str, Any]) -> Labels:
    prefix = f"{META}network_"
    labels = {
        f"{prefix}id": network["Id"],
        f"{prefix}name": network["Name"],
        f"{prefix}scope": network["Scope"],
        f"{prefix}internal": str(network["Internal"]).lower(),
        f"{prefix}ingress": str(network["Ingress"]).lower(),
    }
    for name, value in (network.get("Labels") or {}).items():
        labels[f"{prefix}label_{label_name(name)}"] = value
    return labels
