"""Values in the units of Grafana."""

from __future__ import annotations

import math

import pytest

from stackctl.snapshot.units import format_value


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.5, "percentunit", "50%"),
        (99.96, "percent", "99.96%"),
        (12.345, "percent", "12.35%"),
        (166.26, "percent", "166.3%"),
        (0.0042, "s", "4.2 ms"),
        (0, "s", "0 s"),
        (90, "s", "1.5 min"),
        (7200, "s", "2 hours"),
        (-90, "s", "-1.5 min"),
        (1536, "bytes", "1.5 KiB"),
        (3 * 2**30, "bytes", "3 GiB"),
        (2048, "binBps", "2 KiB/s"),
        (1234, "short", "1.23 K"),
        (12, "short", "12"),
        (2_500_000, "short", "2.5 Mil"),
        (1234, "none", "1,234"),
        (99_991.4, "currencyUSD", "$99,991"),
        (-8.93, "currencyUSD", "-$8.93"),
        (1_500_000, "currencyUSD", "$1.5 Mil"),
        (-2.5, "currencyBTC", "-2.5 BTC"),
        (0.2, "reqps", "0.2 req/s"),
        (1500, "ops", "1.5 k ops/s"),
        (0.00088, "ops", "0.00088 ops/s"),
        (3, "furlongs", "3 furlongs"),
        (-12.5, "suffix:USD", "-12.5 USD"),
        (math.nan, "s", "NaN"),
        (math.inf, "s", "∞"),
        (-math.inf, "s", "-∞"),
    ],
)
def test_a_value_in_its_unit(value: float, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_decimals_that_the_panel_asks_for() -> None:
    assert format_value(66.666, "percent", 2) == "66.67%"
    assert format_value(100, "percent", 2) == "100.00%"
    assert format_value(0, "reqps", 2) == "0.00 req/s"
    assert format_value(0, "s", 1) == "0 s"
    assert format_value(120, "s", 1) == "2.0 min"
