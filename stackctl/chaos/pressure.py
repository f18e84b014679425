"""Memory and disk pressure in a container, within limits.

Memory is allocated by processes in the container, so that it counts towards the container's limit. A file is written
to one of the service's volumes, because the rest of its file system is read-only. Both disappear by themselves after
some time, even if nobody undoes the fault. The image only needs the programs of busybox.
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

# dd fills a buffer of the whole size, then blocks on the pipe until `sleep` ends.
_HOLD_MEMORY = 'dd if=/dev/zero bs="$1" count=1 2>/dev/null | sleep "$2"'
_REMOVE_LATER = 'sleep "$2"; rm -f "$1"'

_TOOLS = """
for tool in dd df env grep rm sleep tr; do
  command -v "$tool" >/dev/null || { echo "no $tool" >&2; exit 1; }
done
"""

# The processes are found by their environment: the process that undoes the fault does not know their IDs.
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
    """Compute how much memory brings the container to `share` percent of its limit.

    Raises StackctlError if the container has no limit or no shell or already uses that much, or the machine has too
    little free memory.
    """
    limit = engine.surroundings(container.id).memory_limit_bytes
    if not limit:
        raise StackctlError(
            f"{container.service} has no memory limit, so this would fill the memory of the machine",
            remedy="set a limit (deploy.resources.limits.memory)",
        )
    share = int(options["share"].removesuffix("%")) / 100
    usage = engine.usage([container.name]).get(container.name)
    if usage is None:
        raise EngineError(
            f"the engine does not report the memory usage of {container.service}",
            remedy="`stackctl status` shows whether it is running",
        )
    used = usage.memory_bytes
    size = int(limit * share) - used
    if size < _MIB:
        raise StackctlError(
            f"{container.service} already uses {used / limit:.0%} of its {_in_words(limit)}",
            remedy="choose a higher --share",
        )
    found = _look(engine, container, "grep MemAvailable /proc/meminfo", [])
    if _kibibytes(found) < size + _MEMORY_RESERVE:
        raise StackctlError(
            f"{_in_words(size)} more would leave less than {_in_words(_MEMORY_RESERVE)} of free memory on the machine",
            remedy="choose a lower --share",
        )
    return {**options, "bytes": str(size), "size": _in_words(size), "limit": _in_words(limit)}


def fill_memory(engine: Engine, fault: OpenFault) -> None:
    """Allocate the memory, and wait until it is allocated. Raises EngineError if that fails."""
    size = int(fault.details["bytes"])
    engine.execute_detached(
        fault.container,
        [*_marked(fault), "sh", "-c", _HOLD_MEMORY, "sh", str(size), fault.details["seconds"]],
    )
    deadline = time.monotonic() + _GROWTH_SECONDS
    while (held := _kibibytes(_each_marked(engine, fault, _RESIDENT))) < size:
        if time.monotonic() > deadline:
            raise EngineError(
                f"only {_in_words(held)} of {_in_words(size)} of memory were allocated in {fault.service}:"
                " it was killed, or is too slow",
                remedy=f"choose a lower --share; stackctl logs {fault.service}",
            )
        time.sleep(_PAUSE)


def release_memory(engine: Engine, fault: OpenFault) -> None:
    """Kill the processes that hold the memory. A stopped container has none."""
    state = engine.container(fault.container)
    if state is not None and state.running:
        _each_marked(engine, fault, _KILL)


def prepare_disk(engine: Engine, container: ContainerState, options: Details) -> Details:
    """Choose the volume and the file.

    Raises StackctlError if the container has no volume or no shell, or the disk has too little free space.
    """
    volumes = engine.surroundings(container.id).volumes
    if not volumes:
        raise StackctlError(
            f"{container.service} has no writable volume to fill",
            remedy="choose a service with data, such as prometheus, loki or redis",
        )
    folder = min(volumes)
    number, unit = int(options["size"][:-3]), options["size"][-3:]
    size = number * {"MiB": _MIB, "GiB": 1024 * _MIB}[unit]
    free = _look(engine, container, 'df -Pk "$1"', [folder]).splitlines()[-1].split()[3]
    if int(free) * 1024 < size + _DISK_RESERVE:
        raise StackctlError(
            f"{_in_words(size)} would leave less than {_in_words(_DISK_RESERVE)} free at {folder}",
            remedy="choose a smaller --size",
        )
    return {
        **options,
        "bytes": str(size),
        "path": f"{folder.rstrip('/')}/{_FILE}",
        "volume": volumes[folder],
        "image": container.image,
    }


def fill_disk(engine: Engine, fault: OpenFault) -> None:
    """Write the file. Raises EngineError if that fails."""
    path = fault.details["path"]
    later = ["sh", "-c", _REMOVE_LATER, "sh", path, fault.details["seconds"]]
    # Start the process that removes the file first, so that it is always removed.
    engine.execute_detached(fault.container, [*_marked(fault), *later])
    count = int(fault.details["bytes"]) // _MIB
    write = ["dd", "if=/dev/zero", f"of={path}", f"bs={_MIB}", f"count={count}"]
    engine.execute(fault.container, [*_marked(fault), *write])


def empty_disk(engine: Engine, fault: OpenFault) -> None:
    """Kill the writer, and remove the file from the volume, even if the container is gone."""
    release_memory(engine, fault)
    image, volume = fault.details["image"], fault.details["volume"]
    if engine.image_id(image) is None:
        raise StackctlError(
            f"cannot remove {_FILE} from volume {volume}: image {image} is gone",
            remedy="stackctl up",
        )
    engine.run_in_volume(volume, image, ["rm", "-f", f"/volume/{_FILE}"])


def _in_words(size: int) -> str:
    """Return a number of bytes as text in MiB."""
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
            f"the image of {container.service} lacks programs that this fault needs: {error.message}",
            remedy="choose a service whose image has a shell",
        ) from None


def _kibibytes(text: str) -> int:
    """Return the sum, in bytes, of lines in the kernel's format `Name:  12 kB`."""
    return 1024 * sum(int(number) for number in re.findall(r"(\d+) kB", text))
