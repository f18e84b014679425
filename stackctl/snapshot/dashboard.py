"""The part of a dashboard's JSON model that a static picture needs.

The JSON model: grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from stackctl.clients.models import CamelModel
from stackctl.errors import StackctlError, UsageError
from stackctl.util import paths
from stackctl.util.suggest import nearest


class Grid(BaseModel):
    """A panel's position, in 24 columns and lines of 30 pixels."""

    x: int
    y: int
    w: int
    h: int


class Source(BaseModel):
    """A data source."""

    type: str


class Target(CamelModel):
    """A query of a panel."""

    ref_id: str
    expr: str
    legend_format: str = ""
    instant: bool = False
    max_lines: int = 100


class Step(BaseModel):
    """A colour that applies from a value on; the first has no value and starts at minus infinity."""

    color: str
    value: float | None = None


class _Thresholds(BaseModel):
    steps: tuple[Step, ...] = ()


class _Text(BaseModel):
    text: str = ""
    color: str | None = None


class _Mapping(BaseModel):
    type: str
    options: dict[str, Any] = {}

    def result(self, value: float | str) -> _Text | None:
        """Return the result for a number, for a text by a regular expression, or for values that are not numbers."""
        if isinstance(value, str):
            return self._of_text(value)
        if self.type == "value":
            key = str(int(value)) if value == value // 1 else str(value)
            return _Text.model_validate(self.options[key]) if key in self.options else None
        if self.type == "special" and math.isnan(value) and "nan" in self.options.get("match", ""):
            return _Text.model_validate(self.options.get("result", {}))
        return None

    def _of_text(self, value: str) -> _Text | None:
        if self.type != "regex":
            return None
        pattern = re.compile(str(self.options.get("pattern", "")).strip("/"))
        found = pattern.search(value)
        if found is None:
            return None
        result = _Text.model_validate(self.options.get("result", {}))
        # Grafana's text may refer to a group of the pattern, such as $1.
        text = re.sub(r"\$(\d)", lambda group: found[int(group[1])] or "", result.text)
        return result.model_copy(update={"text": text})


class _Color(CamelModel):
    mode: str = ""
    fixed_color: str = ""


class _Stacking(BaseModel):
    mode: str = "none"


class _ThresholdsStyle(BaseModel):
    mode: str = "off"


class _CellOptions(BaseModel):
    type: str = "auto"


class _Custom(CamelModel):
    axis_soft_min: float | None = None
    cell_options: _CellOptions = _CellOptions()
    stacking: _Stacking = _Stacking()
    thresholds_style: _ThresholdsStyle = _ThresholdsStyle()


class Appearance(CamelModel):
    """The display settings of a field."""

    unit: str = "short"
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    no_value: str = "No data"
    thresholds: _Thresholds = _Thresholds()
    mappings: tuple[_Mapping, ...] = ()
    color: _Color = _Color()
    custom: _Custom = _Custom()

    def mapped(self, value: float | str) -> _Text | None:
        """Return the text and colour of the first mapping that matches a value, if any."""
        found = (one.result(value) for one in self.mappings)
        return next((text for text in found if text is not None), None)

    def step(self, value: float) -> Step | None:
        """Return the highest threshold that a value has reached."""
        reached = [one for one in self.thresholds.steps if one.value is None or value >= one.value]
        return reached[-1] if reached else None


class _Property(BaseModel):
    id: str
    value: Any = None


class _Matcher(BaseModel):
    id: str
    options: Any = None

    def names(self, field: str) -> bool:
        """Return whether it matches a field's name; a regular expression is written as /…/."""
        if self.id == "byRegexp":
            return re.search(str(self.options).strip("/"), field) is not None
        return self.id == "byName" and self.options == field


class _Override(BaseModel):
    matcher: _Matcher
    properties: list[_Property]


class _FieldConfig(BaseModel):
    defaults: dict[str, Any] = {}
    overrides: list[_Override] = []


class Organize(CamelModel):
    """A transformation that selects, renames and orders a table's columns."""

    exclude_by_name: dict[str, bool] = Field(default_factory=dict)
    index_by_name: dict[str, int] = Field(default_factory=dict)
    rename_by_name: dict[str, str] = Field(default_factory=dict)


class _Transformation(BaseModel):
    id: str
    options: dict[str, Any] = {}


class _SortBy(CamelModel):
    display_name: str
    desc: bool = False


class _Legend(CamelModel):
    calcs: tuple[str, ...] = ()
    sort_by: str = ""
    sort_desc: bool = False


class _Options(CamelModel):
    color_mode: Literal["value", "background", "background_solid", "none"] = "value"
    combine: bool = False
    legend: _Legend = _Legend()
    sort_by: tuple[_SortBy, ...] = ()
    x_field: str = ""


class Panel(CamelModel):
    """A panel, or the heading of a row."""

    type: str
    title: str = ""
    description: str = ""
    grid_pos: Grid
    datasource: Source = Source(type="prometheus")
    targets: tuple[Target, ...] = ()
    field_config: _FieldConfig = _FieldConfig()
    options: _Options = _Options()
    transformations: tuple[_Transformation, ...] = ()

    def if_empty(self, ref_id: str) -> str | None:
        """Return the text for a query whose empty result is valid; None if the query must return data."""
        properties = self.field_config.defaults | {
            one.id: one.value
            for override in self.field_config.overrides
            if override.matcher.id == "byFrameRefID" and override.matcher.options == ref_id
            for one in override.properties
        }
        return properties.get("noValue")

    def appearance(self, field: str = "") -> Appearance:
        """Return the display settings of a field: the panel's defaults with the overrides for its name."""
        properties = dict(self.field_config.defaults)
        for override in self.field_config.overrides:
            if not override.matcher.names(field):
                continue
            for one in override.properties:
                # An ID with a dot is a member of an object, such as custom.cellOptions.
                whole, _, member = one.id.partition(".")
                value = {**properties.get(whole, {}), member: one.value} if member else one.value
                properties[whole] = value
        return Appearance.model_validate(properties)

    @property
    def organize(self) -> Organize:
        """The names and order of a table's columns."""
        found = [one.options for one in self.transformations if one.id == "organize"]
        return Organize.model_validate(found[0] if found else {})

    @property
    def columns(self) -> frozenset[str] | None:
        """The columns that a table shows, by their names in the result; None for all."""
        for one in self.transformations:
            if one.id == "filterFieldsByName":
                return frozenset(one.options.get("include", {}).get("names", ()))
        return None


class _Current(BaseModel):
    value: str | list[str] = ""

    @property
    def values(self) -> list[str]:
        return [self.value] if isinstance(self.value, str) else self.value


class Variable(CamelModel):
    """A variable in queries."""

    name: str
    all_value: str | None = None
    current: _Current = _Current()

    @property
    def default(self) -> str:
        """Its value in queries: the default choice, as a regular expression if there are several."""
        values = self.current.values
        if "$__all" in values:
            return self.all_value or ".*"
        return values[0] if len(values) == 1 else "(" + "|".join(map(re.escape, values)) + ")"

    @property
    def shown(self) -> str:
        """The default choice as text."""
        values = self.current.values
        return "all" if "$__all" in values else ", ".join(values)


class _Templating(BaseModel):
    variables: tuple[Variable, ...] = Field(default=(), alias="list")


class Dashboard(BaseModel):
    """A dashboard."""

    uid: str
    title: str
    description: str = ""
    panels: tuple[Panel, ...]
    templating: _Templating = _Templating()


def load(name: str, folder: Path) -> Dashboard:
    """Return a dashboard by its uid from the folder of rendered dashboards, with panels from top to bottom.

    Raises UsageError for an unknown dashboard, with the closest known one, StackctlError if it was not rendered.
    """
    known = paths.dashboards()
    if name not in known:
        raise UsageError(f"unknown dashboard {name!r}", remedy=nearest(name, known))
    try:
        found = Dashboard.model_validate_json((folder / f"{name}.json").read_bytes())
    except FileNotFoundError:
        raise StackctlError(
            f"dashboard {name} was not rendered",
            remedy="`stackctl up` renders the dashboards of all monitored services",
        ) from None
    panels = sorted(found.panels, key=lambda panel: (panel.grid_pos.y, panel.grid_pos.x))
    named = [one.model_copy(update={"title": _filled(one.title, found)}) for one in panels]
    return found.model_copy(update={"panels": tuple(named)})


def _filled(title: str, dashboard: Dashboard) -> str:
    """Return a title with variables replaced by their values, or by nothing if all values are chosen."""
    for variable in dashboard.templating.variables:
        chosen = "" if variable.shown == "all" else variable.shown
        title = title.replace(f"${variable.name}", chosen)
    return title.strip()
