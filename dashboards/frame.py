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
from dashboards.links import TITLES, to_logs, to_other_dashboards

TAG = "bot-core"
APPLICATIONS = "rust-core-engine|python-ai-service|nextjs-ui-dashboard"
ALL = "..*"
"""What a variable's "All" stands for: any value but none. `.+` says the same, but a plus in a link is a space."""


@dataclass(frozen=True)
class Variable:
    """A choice of the values that the label `name` has on a metric."""

    name: str
    metric: str

    def build(self) -> QueryVariable:
        """Give the variable: several values at once, all of them at first."""
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
    """A titled row: its panels, whose widths add up to whole lines of 24 columns, and their height in grid units."""

    title: str
    height: int
    panels: Sequence[AnyPanel]


class PrometheusAnnotation(model.AnnotationQuery, Builder[model.AnnotationQuery]):
    """An annotation query with the fields that Grafana's Prometheus data source reads beside the general ones."""

    def __init__(
        self,
        name: str,
        expr: str,
        *,
        colour: str,
        title: str,
        text: str,
        value_is_time: bool = False,
    ):
        super().__init__(name=name, datasource=PROMETHEUS, icon_color=colour, expr=expr)
        self._own = {
            "titleFormat": title,
            "textFormat": text,
            "tagKeys": "severity,service",
            "useValueForTime": value_is_time,
        }

    def build(self) -> model.AnnotationQuery:
        """Give itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """Give the general fields and Prometheus' own."""
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
    """Give the dashboard with this uid.

    `services` is a regular expression of the services that it tells about: their alerts and starts are drawn over
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
        .links([*to_other_dashboards(uid), to_logs(logs or f'{{job=~"{services}"}}')])
    )
    for section in sections:
        frame.with_row(Row(section.title))
        for panel in section.panels:
            frame.with_panel(panel.height(section.height))
    built = frame.build()
    for number, placed in enumerate(built.panels or [], start=1):
        placed.id_val = number
    return built


def _annotations(services: str) -> list[Builder[model.AnnotationQuery]]:
    """Give what is drawn over every graph: alerts, deployments that CI announces, and starts of applications."""
    announced = AnnotationTarget().type("tags").tags(["deployment"]).match_any(False).limit(100)
    return [
        PrometheusAnnotation(
            "Alerts",
            f'ALERTS{{alertstate="firing",severity!="none",service=~"{services}"}}',
            colour="red",
            title="{{alertname}}",
            text="{{severity}}: {{service}}",
        ),
        AnnotationQuery()
        .name("Deployments")
        .datasource(model.DataSourceRef("grafana", "-- Grafana --"))
        .enable(True)
        .icon_color("blue")
        .target(announced),
        PrometheusAnnotation(
            "Starts",
            f'process_start_time_seconds{{job=~"{APPLICATIONS}",service=~"{services}"}} * 1000',
            colour="purple",
            title="{{service}} started",
            text="A new process: a deployment, or a restart",
            value_is_time=True,
        ),
    ]
