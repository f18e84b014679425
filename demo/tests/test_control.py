"""Switches take values of their type and range, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botdemo.control import Control, InvalidSwitchError, Switches
from botdemo.switches import AnalystSwitches, EngineSwitches, GatewaySwitches, HttpSwitches

README = Path(__file__).parents[1] / "README.md"

KINDS = (EngineSwitches, AnalystSwitches, GatewaySwitches, HttpSwitches)

json_values = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2)
)


def test_a_part_of_the_switches_can_be_set() -> None:
    control = Control(EngineSwitches)
    control.update({"error_ratio": 0.5, "trading_enabled": False, "open_positions": 10})
    control.update({"error_ratio": 1})
    assert control.switches == EngineSwitches(
        error_ratio=1, trading_enabled=False, open_positions=10
    )


def test_null_puts_one_back_and_reset_all() -> None:
    control = Control(EngineSwitches)
    control.update({"error_ratio": 0.5, "balance_usdt": 40.0, "unhealthy": True})
    control.update({"error_ratio": None, "balance_usdt": None})
    assert control.switches == EngineSwitches(unhealthy=True)
    control.reset()
    assert control.switches == EngineSwitches()


def test_an_unknown_switch_is_answered_with_the_names() -> None:
    with pytest.raises(InvalidSwitchError) as caught:
        Control(HttpSwitches).update({"eror_ratio": 0.5})
    assert str(caught.value) == (
        "unknown switch 'eror_ratio'; known: error_ratio, latency_seconds, request_rate, unhealthy"
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("error_ratio", 1.01, "a number from 0 to 1"),
        ("error_ratio", -0.01, "a number from 0 to 1"),
        ("error_ratio", float("nan"), "a number from 0 to 1"),
        ("error_ratio", True, "a number from 0 to 1"),
        ("error_ratio", "0.5", "a number from 0 to 1"),
        ("open_positions", 1.5, "an integer from 0 to 12"),
        ("open_positions", 13, "an integer from 0 to 12"),
        ("position_size_btc", float("-inf"), "a number from -1000 to 1000"),
        ("unhealthy", 1, "true or false"),
    ],
)
def test_a_bad_value_is_answered_with_what_is_allowed(
    name: str, value: object, allowed: str
) -> None:
    control = Control(EngineSwitches)
    with pytest.raises(InvalidSwitchError, match=f"^{name} must be {allowed}, not "):
        control.update({"latency_seconds": 2, name: value})
    assert control.switches == EngineSwitches(), "one bad value must set none of the others"


@given(kind=st.sampled_from(KINDS), data=st.data(), value=json_values)
def test_whatever_is_set_is_in_the_range_that_help_tells(
    kind: type[Switches], data: st.DataObject, value: object
) -> None:
    control = Control(kind)
    name = data.draw(st.sampled_from(sorted(control.values())))
    try:
        control.update({name: value})
    except InvalidSwitchError:
        assert control.values() == Control(kind).values()
        return
    stored: Any = control.values()[name]
    assert stored == (control.describe()[name]["default"] if value is None else value)
    takes = str(control.describe()[name]["takes"])
    if takes == "true or false" or stored is None:
        assert stored is None or isinstance(stored, bool)
    else:
        low, high = (float(takes.split()[i]) for i in (-3, -1))
        assert low <= stored <= high


@pytest.mark.parametrize("kind", KINDS)
def test_every_switch_says_what_it_does_and_has_a_default_that_it_takes(
    kind: type[Switches],
) -> None:
    control = Control(kind)
    for name, about in control.describe().items():
        assert str(about["description"]).endswith("."), name
        if about["default"] is not None:
            control.update({name: about["default"]})
    assert control.switches == kind()


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_lists_every_switch_with_its_range(kind: type[Switches]) -> None:
    rows = dict(re.findall(r"^\|[^|]*\| `(\w+)` \| ([^|]+) \|", README.read_text(), re.MULTILINE))
    for name, about in Control(kind).describe().items():
        takes = str(about["takes"]).replace(" or ", ", ")
        assert (name, takes.rpartition("from ")[2]) == (name, rows[name])
