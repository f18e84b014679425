"""The real amtool and Alertmanager of the image set take our list of matchers, and mean the same by it."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import pytest

from stackctl.clients.alertmanager import Matcher
from tests.support.matchers import TAKEN

pytestmark = pytest.mark.docker

_SCRIPT = """
echo 'route: {receiver: x}' > /tmp/a.yml; echo 'receivers: [{name: x}]' >> /tmp/a.yml
prometheus-alertmanager --config.file=/tmp/a.yml --storage.path=/tmp --cluster.listen-address= >/tmp/log 2>&1 &
export AMTOOL="amtool --alertmanager.url=http://127.0.0.1:9093"
until $AMTOOL silence query >/dev/null 2>&1; do sleep 0.2; done
"""


def kept() -> dict[str, list[dict[str, Any]]]:
    """Add a silence for each text with amtool, and return what Alertmanager has kept, by the text."""
    calls = [
        f"$AMTOOL silence add --author=x --comment={number} {shlex.quote(text)} >/dev/null 2>&1"
        for number, text in enumerate(TAKEN)
    ]
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--network", "none", "--tmpfs", "/tmp:mode=1777"),
            *("--entrypoint", "sh", "stackctl/alertmanager:local", "-c"),
            "\n".join([_SCRIPT, *calls, "$AMTOOL silence query -o json"]),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    texts = list(TAKEN)
    return {texts[int(one["comment"])]: one["matchers"] for one in json.loads(done.stdout)}


def test_amtool_means_the_same_by_every_matcher() -> None:
    found = {
        text: [Matcher.model_validate(one) for one in matchers] for text, matchers in kept().items()
    }
    assert found == {text: [matcher] for text, matcher in TAKEN.items()}
