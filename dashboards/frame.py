"""What the seven dashboards have in common: variables, annotations, links, and rows of panels on 24 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    AnnotationTarget,
    Dashboard,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from dashboards.builders import PROMETHEUS, AnyPanel
from dashboards.links import TAG, TITLES, to_logs, to_other_dashboards
from dashboards.palette import BAD, CATEGORIES, NEUTRAL

APPLICATIONS = "rust-core-engine|python-ai-service|nextjs-ui-dashboard"
ALL = "..*"
"""What a variable's "All" stands for: any value but none. `.+` says the same, but a plus in a link is a space."""


@dataclass(frozen=True)
class Variable:
    """A choice among the values of the label `name` on a metric."""

    name: str
    metric: str

    def build(self) -> QueryVariable:
        """Return the variable: multiple values, all of them by default."""
        query: dict[str, object] = {
            "query": f"label_values({self.metric}, {self.name})",
            "refId": self.name,
        }
        return (
            QueryVariable(self.name)
            .label(self.name.capitalize())
            .datasource(PROMETHEUS)
            .query(query)
            .multi(True)
            .include_all(True)
            .all_value(ALL)
            .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
        )


@dataclass(frozen=True)
class Section:
    """Panels whose widths add up to whole lines of 24 columns, their height in grid units, and the heading above them.

    The sections without a heading are the first glance: on a laptop they fill the screen.
    """

    title: str | None
    height: int
    panels: Sequence[AnyPanel]
    repeat: str | None = None
    """The variable for whose values the section is repeated."""


class PrometheusAnnotation(model.AnnotationQuery, Builder[model.AnnotationQuery]):
    """An annotation query with the additional fields that Grafana's Prometheus data source reads."""

    def __init__(
        self,
        name: str,
        expr: str,
        *,
        color: str,
        title: str,
        text: str,
    ):
        # An event before the range would be drawn at its left edge, as if it had happened then.
        in_range = f"({expr}) >= $__from"
        super().__init__(name=name, datasource=PROMETHEUS, icon_color=color, expr=in_range)
        self._own = {
            "titleFormat": title,
            "textFormat": text,
            "tagKeys": "severity,service",
            # The value is a time in milliseconds, drawn as a thin line. Otherwise a series would be a region for as
            # long as it exists, which covers what it annotates.
            "useValueForTime": True,
        }

    def build(self) -> model.AnnotationQuery:
        """Return itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the general fields and Prometheus' own."""
        return super().to_json() | self._own


def dashboard(
    uid: str,
    description: str,
    sections: Sequence[Section],
    *,
    services: str,
    variables: Sequence[Variable] = (),
    logs: str | None = None,
) -> model.Dashboard:
    """Return the dashboard with this uid.

    `services` is a regular expression of the services that it is about: their critical alerts and starts are drawn over
    its graphs, and its link "Logs" leads to their logs, or to those that the LogQL selector `logs` picks.
    """
    frame = (
        Dashboard(TITLES[uid])
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .variables([variable.build() for variable in variables])
        .annotations(_annotations(services))
        .links([to_other_dashboards(), to_logs(logs or f'{{job=~"{services}"}}')])
    )
    for section in sections:
        if section.title is not None:
            row = Row(section.title)
            frame.with_row(row.repeat(section.repeat) if section.repeat else row)
        for panel in section.panels:
            frame.with_panel(panel.height(section.height))
    built = frame.build()
    for number, placed in enumerate(built.panels or [], start=1):
        placed.id_val = number
    return built


def _annotations(services: str) -> list[Builder[model.AnnotationQuery]]:
    """Return what is drawn over every graph: critical alerts, deployments that CI announces, starts of applications."""
    announced = AnnotationTarget().type("tags").tags(["deployment"]).match_any(False).limit(100)
    critical = f'alertstate="firing",severity="critical",service=~"{services}"'
    return [
        PrometheusAnnotation(
            "Critical alerts",
            f"ALERTS_FOR_STATE * 1000 and ignoring (alertstate) ALERTS{{{critical}}}",
            color=BAD,
            title="{{alertname}}",
            text="{{severity}}: {{service}}, active since then",
        ),
        AnnotationQuery()
        .name("Deployments")
        .datasource(model.DataSourceRef("grafana", "-- Grafana --"))
        .enable(True)
        .icon_color(NEUTRAL)
        .target(announced),
        PrometheusAnnotation(
            "Starts",
            f'process_start_time_seconds{{job=~"{APPLICATIONS}",service=~"{services}"}} * 1000',
            color=CATEGORIES[3],
            title="{{service}} started",
            text="A new process: a deployment or a restart",
        ),
    ]
