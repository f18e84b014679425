"""Network faults of a container: disconnection, or latency and packet loss.

Latency and loss are produced by the kernel's netem in the container's network namespace. A separate container with
NET_ADMIN joins the namespace and configures netem with tc. This needs neither root on this machine nor tc in the
service's image, and works with engines in a virtual machine, such as Docker Desktop, where `nsenter` would not. It
affects all packets that leave the container: the service's responses and its own requests.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from stackctl.chaos.journal import Details, OpenFault
from stackctl.errors import EngineError, StackctlError
from stackctl.services.releases import PLAN, current
from stackctl.util import paths

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.docker.models import ContainerState

IMAGE = "stackctl/nettools:1"

_EVERY_DEVICE = """
ip -o address show scope global | while read -r _ device _; do
  {action}
done
"""
_ADD = _EVERY_DEVICE.format(
    action='tc qdisc replace dev "$device" root netem delay "$1" loss "$2" || exit'
)
_REMOVE = _EVERY_DEVICE.format(
    action='! tc qdisc show dev "$device" | grep -q "^qdisc netem"'
    ' || tc qdisc del dev "$device" root || exit'
)


def prepare_disconnect(engine: Engine, container: ContainerState, options: Details) -> Details:
    """Return the network and the container's connection options for the record.

    Raises StackctlError if the container is not on the network, so that undoing the fault cannot connect it.
    """
    its_own = engine.surroundings(container.id).networks
    network = next((name for name in engine.networks if name in its_own), None)
    if network is None:
        raise StackctlError(
            f"{container.service} is not on network {engine.networks[-1]}",
            remedy="choose a service that is",
        )
    words = engine.connection(container.id, network)
    # A space after each option, so that there is no extra space if there are none.
    return {
        **options,
        "network": network,
        "options": "".join(f"{shlex.quote(word)} " for word in words),
    }


def disconnect(engine: Engine, fault: OpenFault) -> None:
    """Disconnect the container from the network."""
    engine.disconnect(fault.container, fault.details["network"])


def connect(engine: Engine, fault: OpenFault) -> None:
    """Reconnect the container to the network with its former options, if the container still exists."""
    if engine.container(fault.container) is not None:
        # Older versions of stackctl did not record options.
        options = fault.details.get("options")
        words = None if options is None else shlex.split(options)
        engine.connect(fault.container, fault.details["network"], words)


def prepare_slow(engine: Engine, container: ContainerState, options: Details) -> Details:
    """Return the details for the record. Raises StackctlError if the container has no network of its own."""
    around = engine.surroundings(container.id)
    shared = around.network_mode == "host" or around.network_mode.startswith("container:")
    if shared or not around.networks:
        raise StackctlError(
            f"{container.service} shares its network with the host or another container",
            remedy="choose another service",
        )
    return {**options, "name": f"{container.name}-tc", "image": _image(engine)}


def _image(engine: Engine) -> str:
    """Return an image with tc: stackctl/nettools, or else an image of the local set, whose base image has tc."""
    from stackctl.images import build, sets

    if engine.image_id(IMAGE) is not None:
        return IMAGE
    built = (one for one in (PLAN, current()) if not build.outdated(engine, one))
    local = (image.local for releases in built for image in sets.catalogue(releases))
    return next((one for one in local if engine.image_id(one) is not None), IMAGE)


def provide(engine: Engine, details: Details) -> None:
    """Build an image with tc if there is none. Raises StackctlError if that fails."""
    if engine.image_id(details["image"]) is not None:
        return
    tail = ""
    try:
        for line in engine.build(paths.build_file("nettools")):
            tail = line or tail
    except EngineError as error:
        raise StackctlError(
            f"cannot build an image with tc: {error.message}: {tail}",
            remedy=f"let the builder reach its package mirror, or tag an image with tc and ip as {IMAGE}",
        ) from None


def slow(engine: Engine, fault: OpenFault) -> None:
    """Delay and lose what leaves the container. Raises StackctlError where the kernel has no netem."""
    try:
        _run(engine, fault, _ADD, fault.details["delay"], fault.details["loss"])
    except EngineError as error:
        if "qdisc kind is unknown" not in error.message:
            raise
        raise StackctlError(
            "the engine's kernel lacks netem, which delays and drops packets",
            remedy="run `modprobe sch_netem` on the engine's machine, or use `chaos pause` instead",
        ) from None


def quicken(engine: Engine, fault: OpenFault) -> None:
    """Remove delay and loss. A container that was stopped since then has a new namespace without them."""
    state = engine.container(fault.container)
    if state is None or state.status not in {"running", "paused"}:
        return
    if engine.image_id(fault.details["image"]) is None:
        # The image was removed in the meantime: a restart creates a new namespace.
        engine.restart(fault.container)
    else:
        _run(engine, fault, _REMOVE)


def _run(engine: Engine, fault: OpenFault, script: str, *arguments: str) -> None:
    command = ["sh", "-c", script, "sh", *arguments]
    # One container name for both directions: a tc that an interrupted stackctl started ends before this one starts.
    details = fault.details
    engine.run_in_network_of(fault.container, details["image"], command, name=details["name"])
