"""A container's network: off it, or with latency and loss.

netem of the kernel makes them in the container's network name space, set by tc from a container of its own that joins
the name space with NET_ADMIN. So it needs neither root on this machine nor tc in the service's image, and works where
the engine is in a virtual machine, as with Docker Desktop, whose processes `nsenter` could not reach from here. What
leaves the container is late or lost: the service's answers, and its own requests.
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
    """Name the network, and what the container is on it.

    Raises StackctlError for a container that is not on it, so that healing puts none there.
    """
    its_own = engine.surroundings(container.id).networks
    network = next((name for name in engine.networks if name in its_own), None)
    if network is None:
        raise StackctlError(
            f"{container.service} is not on {engine.networks[-1]}", remedy="take a service that is"
        )
    words = engine.connection(container.id, network)
    # With the space after each, there is none too many where there is no word.
    return {
        **options,
        "network": network,
        "options": "".join(f"{shlex.quote(word)} " for word in words),
    }


def disconnect(engine: Engine, fault: OpenFault) -> None:
    """Take the container off the network."""
    engine.disconnect(fault.container, fault.details["network"])


def connect(engine: Engine, fault: OpenFault) -> None:
    """Reconnect the container to the network with its former options, if the container still exists."""
    if engine.container(fault.container) is not None:
        # A journal of an older stackctl has no options.
        options = fault.details.get("options")
        words = None if options is None else shlex.split(options)
        engine.connect(fault.container, fault.details["network"], words)


def prepare_slow(engine: Engine, container: ContainerState, options: Details) -> Details:
    """Return the details for the record. Raises StackctlError for a container without a network of its own."""
    around = engine.surroundings(container.id)
    shared = around.network_mode == "host" or around.network_mode.startswith("container:")
    if shared or not around.networks:
        raise StackctlError(
            f"{container.service} has no network of its own that could be slowed",
            remedy="take a service that has",
        )
    return {**options, "name": f"{container.name}-tc", "image": _image(engine)}


def _image(engine: Engine) -> str:
    """Return an image with tc: our own, or else an available one of the local set, whose base image has tc."""
    from stackctl.images import build, sets

    if engine.image_id(IMAGE) is not None:
        return IMAGE
    built = (one for one in (PLAN, current()) if not build.outdated(engine, one))
    local = (image.local for releases in built for image in sets.catalogue(releases))
    return next((one for one in local if engine.image_id(one) is not None), IMAGE)


def provide(engine: Engine, details: Details) -> None:
    """Build the image with tc where none is here. Raises StackctlError where it cannot be built."""
    if engine.image_id(details["image"]) is not None:
        return
    tail = ""
    try:
        for line in engine.build(paths.build_file("nettools")):
            tail = line or tail
    except EngineError as error:
        raise StackctlError(
            f"there is no image with tc, and it cannot be built: {error.message}: {tail}",
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
            "the engine's kernel has no netem, which delays and loses packets",
            remedy="modprobe sch_netem on the engine's machine, or take `chaos pause`, which does without",
        ) from None


def quicken(engine: Engine, fault: OpenFault) -> None:
    """Take the delay and the loss away. A container that was stopped since has a new name space without them."""
    state = engine.container(fault.container)
    if state is None or state.status not in {"running", "paused"}:
        return
    if engine.image_id(fault.details["image"]) is None:
        # The image was removed under the open fault: a new name space is the other way.
        engine.restart(fault.container)
    else:
        _run(engine, fault, _REMOVE)


def _run(engine: Engine, fault: OpenFault, script: str, *arguments: str) -> None:
    command = ["sh", "-c", script, "sh", *arguments]
    # One name for both ways: a tc that an interrupted stackctl left on its way ends before ours begins.
    details = fault.details
    engine.run_in_network_of(fault.container, details["image"], command, name=details["name"])
