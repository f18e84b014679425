"""Field types that the responses of several services share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from stackctl.values.durations import parse_duration


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError("expected a duration as text")
    return parse_duration(value)


Duration = Annotated[float, BeforeValidator(_seconds)]
"""Seconds, from text in Prometheus' notation."""
