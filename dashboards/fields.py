"""What a panel shows: queries, and how their values look: unit, decimals, color, text, axis."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import (
    DashboardRegexMapOptions,
    DashboardSpecialValueMapOptions,
    DynamicConfigValue,
    FieldColorModeId,
    RegexMap,
    SpecialValueMap,
    SpecialValueMatch,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from dashboards.limits import NEUTRAL, Limit
from dashboards.palette import ABSENT, BAD, BY_LABEL, BY_NAME, CATEGORIES, GOOD

# `suffix:` is Grafana's unit of a number with a text behind it. Its own "ops/m" names no subject, and its currencies
# put the sign of a loss behind the symbol.
TRADES_PER_MINUTE = "suffix:trades/min"
ANALYSES_PER_MINUTE = "suffix:analyses/min"
REQUESTS_PER_MINUTE = "suffix:requests/min"
PER_MINUTE = "suffix:/min"
KEYS_PER_SECOND = "suffix:keys/s"
ERRORS_PER_SECOND = "suffix:errors/s"
MESSAGES_PER_SECOND = "suffix:messages/s"
PER_HOUR = "suffix:per hour"
SIGNED_DOLLARS = "suffix:USD"
DOLLARS_PER_HOUR = "suffix:USD/h"
BITCOIN = "suffix:BTC"

_DECIMALS: Mapping[str, int] = {
    units.Percent: 1,
    units.PercentUnit: 1,
    units.Seconds: 1,
    units.Dollars: 2,
    units.BytesIEC: 1,
    units.BytesPerSecondIEC: 1,
    units.RequestsPerSecond: 2,
    units.OpsPerSecond: 2,
    MESSAGES_PER_SECOND: 1,
    TRADES_PER_MINUTE: 1,
    ANALYSES_PER_MINUTE: 1,
    REQUESTS_PER_MINUTE: 1,
    PER_MINUTE: 1,
    KEYS_PER_SECOND: 1,
    ERRORS_PER_SECOND: 1,
    PER_HOUR: 0,
    SIGNED_DOLLARS: 2,
    DOLLARS_PER_HOUR: 2,
    BITCOIN: 4,
}
"""Decimals by unit; a unit that is not here counts whole things, or scales by itself."""

NO_DATA = "No data"
NO_SAMPLES = "Prometheus has no samples: check Service Status on System Overview."

Texts = Mapping[int, tuple[str, str]]
"""Value → the text that stands for it, and its color."""

UP_DOWN: Texts = {0: ("Down", BAD), 1: ("Up", GOOD)}
YES_NO: Texts = {0: ("No", ABSENT), 1: ("Yes", GOOD)}


@dataclass(frozen=True)
class Query:
    """PromQL, and the name of its series: text in which {{label}} stands for a label's value.

    `empty` says why an empty result is not a fault; `stackctl verify dashboards` accepts no other excuse. `dashed` sets
    a series apart from another that has the same color.
    """

    expr: str
    legend: str = ""
    empty: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Field:
    """How a series or column differs from its panel: unit (Grafana's id), limit, color, width (pixels), decimals."""

    name: str
    unit: str | None = None
    limit: Limit | None = None
    color: str | None = None
    width: int | None = None
    decimals: int | None = None

    def properties(self) -> list[DynamicConfigValue]:
        """Return the overrides in Grafana's terms."""
        values: dict[str, object] = {}
        if self.unit:
            values["unit"] = self.unit
            values["decimals"] = decimals(self.unit)
        if self.decimals is not None:
            values["decimals"] = self.decimals
        if self.limit:
            values["thresholds"] = self.limit.thresholds().build()
            values["color"] = {"mode": FieldColorModeId.THRESHOLDS}
        if self.color:
            values["color"] = _fixed(self.color)
        if self.width:
            values["custom.width"] = self.width
        return [
            DynamicConfigValue(name, value) for name, value in values.items() if value is not None
        ]


@dataclass(frozen=True)
class Column:
    """A column of numbers in a table: an instant query, and how its values look."""

    expr: str
    unit: str
    limit: Limit = NEUTRAL
    texts: Texts | None = None


def decimals(unit: str) -> int | None:
    """Return how many decimals a value of this unit has, None for as many as Grafana chooses."""
    return _DECIMALS.get(unit)


def described(shows: str, matters: str, empty: str) -> str:
    """Return a panel's description: what it shows, why that matters, and what it means when it is empty."""
    return f"{shows}\n\nWhy it matters: {matters}\n\nWhen empty: {empty}"


def texts_of(texts: Texts) -> list[ValueMapping]:
    """Return the mapping of values to texts."""
    results = {
        str(value): ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [ValueMap(results)]


def absent(text: str, index: int = 0) -> ValueMapping:
    """Return the mapping of null and NaN to a text in a neutral color.

    Without it `noValue` takes the color of the lowest threshold: an absent value would look critical.
    """
    result = ValueMappingResult(text=text, color=ABSENT, index=index)
    return SpecialValueMap(
        DashboardSpecialValueMapOptions(match=SpecialValueMatch.NULL_AND_NAN, result=result)
    )


def colored(label: str) -> list[ValueMapping]:
    """Return the mapping of a label's values to the colors that they have everywhere."""
    return [
        RegexMap(
            DashboardRegexMapOptions(
                pattern=f"/^({value})$/",
                result=ValueMappingResult(text="$1", color=color, index=index),
            )
        )
        for index, (value, color) in enumerate(BY_LABEL[label].items())
    ]


def legend_pattern(legend: str, **values: str) -> str:
    """Return Grafana's regular expression for the names that a legend makes; `values` fixes some of its labels."""
    parts = re.split(r"\{\{(\w+)\}\}", legend)
    pattern = "".join(
        f"({values.get(part, '.*')})" if index % 2 else re.escape(part).replace("\\ ", " ")
        for index, part in enumerate(parts)
    )
    return f"/^{pattern}$/"


def labels_of(legend: str) -> list[str]:
    """Return the labels that a legend names."""
    return re.findall(r"\{\{(\w+)\}\}", legend)


def series_colors(queries: Sequence[Query]) -> Iterator[tuple[str, list[DynamicConfigValue]]]:
    """Yield, as patterns of names and their overrides, the color of every series with an identity."""
    categories = iter(CATEGORIES)
    for query in queries:
        labels = labels_of(query.legend)
        known = next((label for label in labels if label in BY_LABEL), None)
        if not labels:
            color = BY_NAME.get(query.legend) or next(categories)
            yield legend_pattern(query.legend), [DynamicConfigValue("color", _fixed(color))]
        elif known:
            for value, color in BY_LABEL[known].items():
                pattern = legend_pattern(query.legend, **{known: value})
                yield pattern, [DynamicConfigValue("color", _fixed(color))]
        if query.dashed:
            style = {"fill": "dash", "dash": [6, 4]}
            yield (
                legend_pattern(query.legend),
                [DynamicConfigValue("custom.lineStyle", style)],
            )


def _fixed(color: str) -> dict[str, object]:
    return {"mode": FieldColorModeId.FIXED, "fixedColor": color}
