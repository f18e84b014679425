"""Memory and disk pressure in a container, within bounds.

Memory is held by processes inside the container, so that it counts against the container's own limit. A file goes to
a volume that the service writes to, for no other place of its file system is writable. Both end by
themselves when their time is over, even if nobody heals them. All it takes in the image is what busybox has.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from stackctl.chaos.journal import Details, OpenFault
from stackctl.errors import EngineError, StackctlError

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.docker.models import ContainerState

_MIB = 1024 * 1024
_FILE = ".stackctl-fill"
_MARK = "STACKCTL_FAULT"
_DISK_RESERVE = 1024 * _MIB
_MEMORY_RESERVE = 256 * _MIB
_GROWTH_SECONDS = 30.0
_PAUSE = 0.2

# dd reads into a buffer of the whole size and then waits for a reader, with nobody reading until `sleep` ends.
_HOLD_MEMORY = 'dd if=/dev/zero bs="$1" count=1 2>/dev/null | sleep "$2"'
_REMOVE_LATER = 'sleep "$2"; rm -f "$1"'

_TOOLS = """
for tool in dd df env grep rm sleep tr; do
  command -v "$tool" >/dev/null || { echo "no $tool" >&2; exit 1; }
done
"""

# Found by their environment: their names and numbers are not known to the process that heals.
_MARKED = """
for folder in /proc/[0-9]*; do
  [ -r "$folder/environ" ] || continue
  {{ tr '\\0' '\\n' <"$folder/environ" | grep -qx "$1"; }} 2>/dev/null || continue
  {action}
done
"""
_RESIDENT = _MARKED.format(action='grep VmRSS "$folder/status" 2>/dev/null || continue')
_KILL = _MARKED.format(action='kill -9 "${folder#/proc/}" 2>/dev/null || continue')


def prepare_memory(engine: Engine, container: ContainerState, options: Details) -> Details:
    """Work out how much memory brings the container to `share` percent of its limit.

    Raises StackctlError for a container without a limit or a shell, one that is there already, and a machine that has
    not so much free.
    """
    limit = engine.surroundings(container.id).memory_limit_bytes
    if not limit:
        raise StackctlError(
            f"{container.service} has no memory limit: the pressure would be this machine's",
            remedy="give it a limit (deploy.resources.limits.memory)",
        )
    share = int(options["share"].removesuffix("%")) / 100
    usage = engine.usage([container.name]).get(container.name)
    if usage is None:
        raise EngineError(
            f"the engine does not say how much memory {container.service} uses",
            remedy="`stackctl status` shows whether it is running",
        )
    used = usage.memory_bytes
    size = int(limit * share) - used
    if size < _MIB:
        raise StackctlError(
            f"{container.service} uses {used / limit:.0%} of its {_in_words(limit)} already",
            remedy="a higher --share",
        )
    found = _look(engine, container, "grep MemAvailable /proc/meminfo", [])
    if _kibibytes(found) < size + _MEMORY_RESERVE:
        raise StackctlError(
            f"{_in_words(size)} more would leave this machine less than {_in_words(_MEMORY_RESERVE)} of free memory",
            remedy="a lower --share",
        )
    return {**options, "bytes": str(size), "size": _in_words(size), "limit": _in_words(limit)}


def fill_memory(engine: Engine, fault: OpenFault) -> None:
    """Allocate the memory, and return when it is allocated. Raises EngineError if it cannot be."""
    size = int(fault.details["bytes"])
    engine.execute_detached(
        fault.container,
        [*_marked(fault), "sh", "-c", _HOLD_MEMORY, "sh", str(size), fault.details["seconds"]],
    )
    deadline = time.monotonic() + _GROWTH_SECONDS
    while (held := _kibibytes(_each_marked(engine, fault, _RESIDENT))) < size:
        if time.monotonic() > deadline:
            raise EngineError(
                f"{fault.service} took {_in_words(held)} of {_in_words(size)} of memory:"
                " it was killed for it, or is too slow",
                remedy=f"a lower --share; stackctl logs {fault.service}",
            )
        time.sleep(_PAUSE)


def release_memory(engine: Engine, fault: OpenFault) -> None:
    """End the processes that hold the memory. In a container that is down there are none."""
    state = engine.container(fault.container)
    if state is not None and state.running:
        _each_marked(engine, fault, _KILL)


def prepare_disk(engine: Engine, container: ContainerState, options: Details) -> Details:
    """Choose the volume and the file.

    Raises StackctlError for a container without a volume or a shell, and a disk that has not so much free.
    """
    volumes = engine.surroundings(container.id).volumes
    if not volumes:
        raise StackctlError(
            f"{container.service} has no volume that it can write to, so there is no place to fill",
            remedy="take a service with data, such as prometheus, loki or redis",
        )
    folder = min(volumes)
    number, unit = int(options["size"][:-3]), options["size"][-3:]
    size = number * {"MiB": _MIB, "GiB": 1024 * _MIB}[unit]
    free = _look(engine, container, 'df -Pk "$1"', [folder]).splitlines()[-1].split()[3]
    if int(free) * 1024 < size + _DISK_RESERVE:
        raise StackctlError(
            f"{_in_words(size)} would leave less than {_in_words(_DISK_RESERVE)} free at {folder}",
            remedy="a smaller --size",
        )
    return {
        **options,
        "bytes": str(size),
        "path": f"{folder.rstrip('/')}/{_FILE}",
        "volume": volumes[folder],
        "image": container.image,
    }


def fill_disk(engine: Engine, fault: OpenFault) -> None:
    """Write the file. Raises EngineError where it cannot be written."""
    path = fault.details["path"]
    later = ["sh", "-c", _REMOVE_LATER, "sh", path, fault.details["seconds"]]
    # First what removes it, so that there is no moment at which nobody would.
    engine.execute_detached(fault.container, [*_marked(fault), *later])
    count = int(fault.details["bytes"]) // _MIB
    write = ["dd", "if=/dev/zero", f"of={path}", f"bs={_MIB}", f"count={count}"]
    engine.execute(fault.container, [*_marked(fault), *write])


def empty_disk(engine: Engine, fault: OpenFault) -> None:
    """End what writes, and remove the file from the volume, which outlives the container."""
    release_memory(engine, fault)
    image, volume = fault.details["image"], fault.details["volume"]
    if engine.image_id(image) is None:
        raise StackctlError(
            f"{_FILE} in the volume {volume} cannot be removed: the image {image} is gone",
            remedy="stackctl up",
        )
    engine.run_in_volume(volume, image, ["rm", "-f", f"/volume/{_FILE}"])


def _in_words(size: int) -> str:
    """Return bytes as a whole number of MiB."""
    return f"{size // _MIB} MiB"


def _marked(fault: OpenFault) -> list[str]:
    return ["env", f"{_MARK}={fault.container}"]


def _each_marked(engine: Engine, fault: OpenFault, script: str) -> str:
    return engine.execute(fault.container, ["sh", "-c", script, "sh", f"{_MARK}={fault.container}"])


def _look(engine: Engine, container: ContainerState, script: str, arguments: list[str]) -> str:
    try:
        return engine.execute(container.id, ["sh", "-c", _TOOLS + script, "sh", *arguments])
    except EngineError as error:
        raise StackctlError(
            f"{container.service} has not the programs in its image that filling takes: {error.message}",
            remedy="take a service whose image has a shell",
        ) from None


def _kibibytes(text: str) -> int:
    """Return the sum, in bytes, of lines in the kernel's format `Name:  12 kB`."""
    return 1024 * sum(int(number) for number in re.findall(r"(\d+) kB", text))
