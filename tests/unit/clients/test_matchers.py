"""Matchers as they are written; `tests/config/test_matchers.py` asks the real amtool about the same list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackctl.clients.alertmanager import Matcher
from stackctl.clients.matchers import parse, written
from tests.support.matchers import TAKEN


@pytest.mark.parametrize("text", TAKEN, ids=repr)
def test_what_amtool_takes_means_the_same_here(text: str) -> None:
    assert parse(text) == [TAKEN[text]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{a="b",c=~"d.*"}', ['a="b"', 'c=~"d.*"']),
        (' { a != "b" , c !~ d , } ', ['a!="b"', 'c!~"d"']),
        ('{a="x,y",b=c}', ['a="x,y"', 'b="c"']),
        (r'{a="x\",y", "gr\"öße"="1"}', [r'a="x\",y"', r'"gr\"öße"="1"']),
    ],
)
def test_several_stand_in_braces(text: str, expected: list[str]) -> None:
    assert list(map(written, parse(text))) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "{}", "{,}", "{a=b", "a=b}", '{a="b}', 'a="b', "=b", '""=b', "{a}", 'a=b"c']
)
def test_a_slip_is_not_taken_for_the_name_of_an_alert(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@given(
    st.builds(
        Matcher,
        name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
        value=st.text(st.characters(exclude_categories=["Cs"])),
        is_regex=st.booleans(),
        is_equal=st.booleans(),
    )
)
def test_what_is_written_is_read_as_the_same(matcher: Matcher) -> None:
    text = written(matcher)
    assert parse(text) == [matcher]
    assert parse(f"{{{text},{text}}}") == [matcher, matcher]
