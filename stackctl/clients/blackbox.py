"""The blackbox exporter's probes (github.com/prometheus/blackbox_exporter)."""

from __future__ import annotations

import re
from typing import Literal

from stackctl.clients.base import HttpClient

Outcome = Literal["success", "mismatch", "failure"]

# Both are without labels. The parser of `exposition` takes longer to import than all that a quick `verify` asks.
_RESULT = re.compile(r"^probe_(success|failed_due_to_regex) ([01])$", re.MULTILINE)


class BlackboxClient(HttpClient):
    """A client of the exporter. Every method raises ServiceError where it does not answer as documented."""

    service = "blackbox-exporter"

    async def probe(self, url: str, module: str) -> Outcome:
        """Have the exporter ask an address, and return the outcome.

        It is a "mismatch" where the address answered, but not with the headers or the body that the module expects,
        and a "failure" where it did not answer with a 2xx at all.
        """
        path = "/probe"
        page = await self._request("GET", path, params={"module": module, "target": url})
        found = dict(_RESULT.findall(page.decode(errors="replace")))
        if "success" not in found:
            raise self._error(self.base_url + path, "its answer has no probe_success of 0 or 1")
        if found["success"] == "1":
            return "success"
        return "mismatch" if found.get("failed_due_to_regex") == "1" else "failure"
