"""Data frames as Grafana's plugin SDK writes them: schema, and values by column (grafana.com/developers/dataplane)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LEGEND = re.compile(r"\{\{\s*(.+?)\s*\}\}")
_GO_TYPES = {
    "time": "time.Time",
    "number": "float64",
    "string": "string",
    "other": "json.RawMessage",
}


@dataclass(frozen=True)
class Field:
    """A column: `type` is time (milliseconds since 1970), number, string or other."""

    name: str
    type: str
    values: Sequence[Any]
    labels: Mapping[str, str] | None = None
    config: Mapping[str, Any] | None = None

    def schema(self) -> dict[str, Any]:
        """Describe the column."""
        described: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "typeInfo": {"frame": _GO_TYPES[self.type]},
        }
        if self.labels is not None:
            described["labels"] = dict(self.labels)
        if self.config:
            described["config"] = dict(self.config)
        return described

    def numbers(self) -> tuple[list[Any], dict[str, list[int]] | None]:
        """Return the values, with null for those without a JSON number, and the positions of these."""
        entities: dict[str, list[int]] = {}
        values: list[Any] = []
        for index, value in enumerate(self.values):
            name = _entity(value)
            if name:
                entities.setdefault(name, []).append(index)
            values.append(None if name else value)
        return values, entities or None


@dataclass(frozen=True)
class Frame:
    """A table; one series of a result, or all lines of a log."""

    ref_id: str
    fields: Sequence[Field]
    meta: Mapping[str, Any]
    name: str = field(default="")

    def json(self) -> dict[str, Any]:
        """Return the frame as POST /api/ds/query does."""
        schema: dict[str, Any] = {"name": self.name} if self.name else {}
        schema |= {
            "refId": self.ref_id,
            "meta": dict(self.meta),
            "fields": [column.schema() for column in self.fields],
        }
        columns = [column.numbers() for column in self.fields]
        data: dict[str, Any] = {"values": [values for values, _ in columns]}
        if any(entities for _, entities in columns):
            data["entities"] = [entities for _, entities in columns]
        return {"schema": schema, "data": data}


def legend(labels: Mapping[str, str], format_: str, expression: str) -> str:
    """Return the name of a series: by its legend's format, or as PromQL writes it, or the expression without labels."""
    if format_ and format_ != "__auto":
        return _LEGEND.sub(lambda match: labels.get(match[1], ""), format_)
    rest = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in sorted(labels.items())
        if name != "__name__"
    )
    metric = labels.get("__name__", "")
    if not rest:
        return metric or expression
    return f"{metric}{{{rest}}}"


def number(text: str) -> float:
    """Read a sample's value as Prometheus and Loki write it: `1.5`, `NaN`, `+Inf`. Raises ValueError."""
    return float(text)


def _entity(value: Any) -> str:
    if not isinstance(value, float) or math.isfinite(value):
        return ""
    if math.isnan(value):
        return "NaN"
    return "Inf" if value > 0 else "NegInf"
