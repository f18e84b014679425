"""The blackbox exporter's probes (github.com/prometheus/blackbox_exporter)."""

from __future__ import annotations

from typing import Literal

from stackctl.clients.base import HttpClient
from stackctl.clients.exposition import samples

Outcome = Literal["success", "mismatch", "failure"]


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
        text = page.decode(errors="replace")
        try:
            success = samples(text, "probe_success")
            mismatch = samples(text, "probe_failed_due_to_regex")
        except ValueError as error:
            raise self._error(self.base_url + path, str(error)) from None
        if not success:
            raise self._error(self.base_url + path, "its answer has no probe_success")
        if success[0].value == 1:
            return "success"
        return "mismatch" if any(one.value == 1 for one in mismatch) else "failure"
