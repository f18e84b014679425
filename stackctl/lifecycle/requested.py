"""The state of a stack that a request asks for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from stackctl.config.registry import OVERRIDE_FILE
from stackctl.config.settings import Settings
from stackctl.errors import UsageError
from stackctl.project.project import ProjectState, UpRequest


def requested_state(settings: Settings, request: UpRequest, previous: ProjectState) -> ProjectState:
    """Return the state that a request asks for: the request first, then the previous request, then the settings.

    Images, releases and container metrics are those of `previous`. Raises UsageError if the demo is requested together
    with bot-core, or a file does not exist.
    """
    absolute = replace(request, app_files=tuple(path.absolute() for path in request.app_files))
    request = absolute.after(previous.request)
    network, files = request.network, request.app_files
    if not request.demo:
        network = network or settings["STACKCTL_ATTACH"]
        names = (settings["STACKCTL_APP_FILES"] or "").split(os.pathsep)
        files = files or tuple(Path(name).absolute() for name in names if name)
    joined = network is not None or bool(files)
    if joined and request.demo:
        raise UsageError(
            "the demo services replace bot-core and cannot run together with it",
            remedy="omit --demo",
        )
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} does not exist", remedy="pass a Compose file to --app-file")
    override = Path(OVERRIDE_FILE)
    return ProjectState(
        request=request,
        demo=not joined and request.demo is not False,
        images=previous.images,
        releases=previous.releases,
        unseen=previous.unseen,
        pins=previous.pins,
        network=network,
        app_files=tuple(map(str, files)),
        volumes=previous.volumes,
        override=str(override.absolute()) if override.is_file() else None,
        # Updated once the merged files have been read.
        override_services=previous.override_services if override.is_file() else (),
    )
