"""Colours by their names in Grafana."""

from __future__ import annotations

import pytest

from stackctl.snapshot import colors


@pytest.mark.parametrize(
    ("name", "css"),
    [
        ("red", "#d1323c"),
        ("dark-orange", "#d9730d"),
        ("#12aBef", "#12aBef"),
        ("red;background:url(//x)", colors.NEUTRAL),
        ("#123456;}", colors.NEUTRAL),
    ],
)
def test_a_colour_is_one_that_is_known_or_a_number(name: str, css: str) -> None:
    assert colors.color(name) == css
