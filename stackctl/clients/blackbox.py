"""The blackbox exporter's probes (github.com/prometheus/blackbox_exporter)."""

from __future__ import annotations

import re
from typing import Literal

from stackctl.clients.base import HttpClient

Outcome = Literal["success", "mismatch", "failure"]

# Neither has labels. Importing the parser that `exposition` uses takes longer than a quick `verify`.
_RESULT = re.compile(r"^probe_(success|failed_due_to_regex) ([01])$", re.MULTILINE)


class BlackboxClient(HttpClient):
    """A client for the exporter. Every method raises ServiceError if it does not respond as documented."""

    service = "blackbox-exporter"

    async def probe(self, url: str, module: str) -> Outcome:
        """Let the exporter probe an address, and return the outcome.

        It is a "mismatch" if the response lacks the headers or the body that the module expects, and a "failure" if
        there was no 2xx response.
        """
        path = "/probe"
        page = await self._request("GET", path, params={"module": module, "target": url})
        found = dict(_RESULT.findall(page.decode(errors="replace")))
        if "success" not in found:
            raise self._error(self.base_url + path, "the response has no probe_success of 0 or 1")
        if found["success"] == "1":
            return "success"
        return "mismatch" if found.get("failed_due_to_regex") == "1" else "failure"
