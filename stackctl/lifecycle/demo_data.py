"""MongoDB of the demo keeps the password of its first start in its data, and tells no other to anybody.

Grafana can be told a new one; RabbitMQ and Redis take theirs at every start. MongoDB would have to be asked with the
old one, which nobody may know any more. Nothing but the demo uses that data, so it begins empty with another password.
"""

from __future__ import annotations

from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.project.project import Project

_RECORD = "mongodb.json"
_SERVICE, _VOLUME, _PASSWORD = "mongodb", "mongodb_data", "MONGODB_PASSWORD"


def renew(project: Project, engine: Engine) -> bool:
    """Remove the demo's MongoDB with its data where that was not made with the present password.

    Tells whether there was such data. Raises EngineError where it cannot be removed.
    """
    present = {"fingerprint": project.secrets.fingerprint(_PASSWORD)}
    if project.state.read_json(_RECORD) == present:
        return False
    volume = f"{project.name}_{_VOLUME}"
    found = volume in engine.volumes()
    if found:
        container = engine.containers().get(_SERVICE)
        if container is not None:
            engine.remove(container.name)
        named_volumes.remove([volume])
    # Last: one that is cut off is done again.
    project.state.write_json(_RECORD, present)
    return found
