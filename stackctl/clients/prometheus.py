"""Prometheus' HTTP API v1 (prometheus.io/docs/prometheus/latest/querying/api)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from http import HTTPStatus
from typing import Generic, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from stackctl.clients.base import HttpClient
from stackctl.clients.fields import Duration
from stackctl.clients.models import CamelModel, Model
from stackctl.errors import ServiceError
from stackctl.util import yaml_text

T = TypeVar("T")


class _Answer(Model, Generic[T]):
    status: Literal["success"]
    data: T


class Target(CamelModel):
    """A scrape target. `last_scrape_duration` and `scrape_interval` are in seconds."""

    labels: Mapping[str, str]
    discovered_labels: Mapping[str, str]
    scrape_url: str
    health: Literal["up", "down", "unknown"]
    last_error: str
    last_scrape_duration: float = 0.0
    scrape_interval: Duration = 0.0

    @property
    def job(self) -> str:
        """The target's job."""
        return self.labels.get("job", "")

    @property
    def instance(self) -> str:
        """The target's instance."""
        return self.labels.get("instance", "")

    @property
    def address(self) -> str:
        """The address in the scrape configuration, before relabelling."""
        return self.discovered_labels.get("__address__", "")


class _StaticConfig(Model):
    targets: list[str] = Field(default_factory=list)


class ScrapeConfig(Model):
    """A loaded scrape configuration, with its static targets."""

    job_name: str
    metrics_path: str = "/metrics"
    static_configs: list[_StaticConfig] = Field(default_factory=list)

    @property
    def static_targets(self) -> list[str]:
        """The addresses of its static targets."""
        return [address for config in self.static_configs for address in config.targets]


class _Config(Model):
    scrape_configs: list[ScrapeConfig] = Field(default_factory=list)


class _ConfigText(Model):
    yaml: str


class _Targets(CamelModel):
    active_targets: list[Target]


class Alert(CamelModel):
    """A pending or firing alert of a rule."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = {}
    state: Literal["inactive", "pending", "firing"]
    active_at: dt.datetime | None = None
    value: str = ""


class Rule(CamelModel):
    """A rule, with times in seconds: `duration` is the alert's `for`, `evaluation_time` that of the last evaluation."""

    name: str
    query: str
    type: Literal["alerting", "recording"]
    health: str
    last_error: str = ""
    evaluation_time: float = 0.0
    duration: float = 0.0
    keep_firing_for: float = 0.0
    state: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    alerts: tuple[Alert, ...] = ()


class RuleGroup(CamelModel):
    """A group of rules. `interval` and `evaluation_time` are in seconds."""

    name: str
    file: str
    interval: float
    evaluation_time: float = 0.0
    rules: list[Rule]


class _Groups(Model):
    groups: list[RuleGroup]


class _Alerts(Model):
    alerts: list[Alert]


class Sample(Model):
    """A series at one time: its labels, the time in Unix seconds, and the value.

    In JSON the value is a string, because JSON has neither NaN nor infinities.
    """

    metric: Mapping[str, str]
    value: tuple[float, float]


class Series(Model):
    """A series over a range: its labels, and (Unix seconds, value) pairs."""

    metric: Mapping[str, str]
    values: list[tuple[float, float]]


class _Vector(Model):
    result_type: Literal["vector"] = Field(alias="resultType")
    result: list[Sample]


class _Scalar(Model):
    result_type: Literal["scalar"] = Field(alias="resultType")
    result: tuple[float, float]


class _Matrix(Model):
    result_type: Literal["matrix"] = Field(alias="resultType")
    result: list[Series]


class _MetadataTarget(Model):
    job: str


class TargetMetadata(Model):
    """The type of a metric, from the TYPE line of a target.

    `metric` is the name in that line, where OpenMetrics omits a counter's `_total`. `type` is "unknown" without a line.
    """

    target: _MetadataTarget
    metric: str
    type: str

    @property
    def job(self) -> str:
        """The target's job."""
        return self.target.job


class BuildInfo(CamelModel):
    """The build information of Prometheus."""

    version: str


class RuntimeInfo(CamelModel):
    """The runtime information of Prometheus."""

    last_config_time: dt.datetime


class _Endpoint(Model):
    url: str


class _Endpoints(CamelModel):
    active_alertmanagers: list[_Endpoint]


class PrometheusClient(HttpClient):
    """A client for Prometheus. Every method raises ServiceError if it does not respond as documented."""

    service = "prometheus"

    async def ready(self) -> None:
        """Return if it serves queries, after replaying the write-ahead log."""
        await self._request("GET", "/-/ready")

    async def build_info(self) -> BuildInfo:
        """Return Prometheus' version."""
        return (await self._json(_Answer[BuildInfo], "GET", "/api/v1/status/buildinfo")).data

    async def configured(self) -> dt.datetime:
        """Return when the configuration was last loaded: at the start or at the last reload."""
        info = (await self._json(_Answer[RuntimeInfo], "GET", "/api/v1/status/runtimeinfo")).data
        return info.last_config_time

    async def targets(self) -> list[Target]:
        """Return the active targets."""
        answer = await self._json(
            _Answer[_Targets], "GET", "/api/v1/targets", params={"state": "active"}
        )
        return answer.data.active_targets

    async def scrape_configs(self) -> list[ScrapeConfig]:
        """Return the loaded scrape configurations. Their targets may not have been discovered yet."""
        path = "/api/v1/status/config"
        text = (await self._json(_Answer[_ConfigText], "GET", path)).data.yaml
        try:
            return _Config.model_validate(yaml_text.load(text)).scrape_configs
        except (yaml.YAMLError, ValidationError):
            raise self._error(
                self.base_url + path, "it returned an invalid configuration"
            ) from None

    async def rule_groups(self) -> list[RuleGroup]:
        """Return the loaded rule groups with their rules."""
        return (await self._json(_Answer[_Groups], "GET", "/api/v1/rules")).data.groups

    async def alerts(self) -> list[Alert]:
        """Return the pending and firing alerts."""
        return (await self._json(_Answer[_Alerts], "GET", "/api/v1/alerts")).data.alerts

    async def alertmanagers(self) -> list[str]:
        """Return the addresses of the Alertmanagers that Prometheus sends to."""
        answer = await self._json(_Answer[_Endpoints], "GET", "/api/v1/alertmanagers")
        return [one.url for one in answer.data.active_alertmanagers]

    async def query(self, expression: str) -> list[Sample]:
        """Evaluate an expression now. A scalar is returned as one sample without labels."""
        answer = await self._json(
            _Answer[_Vector | _Scalar], "POST", "/api/v1/query", form={"query": expression}
        )
        if isinstance(answer.data, _Scalar):
            return [Sample(metric={}, value=answer.data.result)]
        return answer.data.result

    async def metadata(self, selector: str) -> list[TargetMetadata]:
        """Return the types of all metrics that the selected targets recently exposed, even without series."""
        try:
            path = "/api/v1/targets/metadata"
            return (
                await self._json(
                    _Answer[list[TargetMetadata]],
                    "GET",
                    path,
                    params={"match_target": selector},
                )
            ).data
        except ServiceError as error:
            # Prometheus 2 responds so if none of the targets' metrics has a TYPE line.
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            raise

    async def label_names(self, selector: str, *, start: float) -> list[str]:
        """Return the names of all labels that the selected series had since `start` (Unix seconds)."""
        params = {"match[]": selector, "start": str(start)}
        return (await self._json(_Answer[list[str]], "GET", "/api/v1/labels", params=params)).data

    async def query_range(
        self, expression: str, *, start: float, end: float, step: float
    ) -> list[Series]:
        """Evaluate an expression from `start` to `end` (Unix seconds), every `step` seconds."""
        form = {"query": expression, "start": str(start), "end": str(end), "step": str(step)}
        return (
            await self._json(_Answer[_Matrix], "POST", "/api/v1/query_range", form=form)
        ).data.result
