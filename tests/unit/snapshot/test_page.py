"""The page of a snapshot, with hostile data too."""

from __future__ import annotations

import html

import pytest

from stackctl import __version__
from stackctl.snapshot.queries import Answer, Line
from tests.support.boards import (
    EVIL,
    JOB,
    KINDS,
    NOW,
    Document,
    board,
    defaults,
    panel,
    render,
    series,
)


def test_the_page_opens_with_what_it_is_of() -> None:
    found = board(panel("stat"), description="What it is for.", templating={"list": [JOB]})
    text = Document(render(found, [Answer({"A": "up"}, [series("a", 1)])])).text
    head = " ".join(text.partition("A stat")[0].split())
    assert "Test 2026-01-02 11:00:00 to 2026-01-02 12:00:00 UTC" in head
    assert f"project bot-core · stackctl {__version__}" in head
    assert "What it is for. job: all" in head


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_comes_from_outside_is_text(kind: str) -> None:
    described = panel(kind, title=EVIL, description=EVIL, options={"xField": "name"})
    described["fieldConfig"] = defaults(unit=EVIL, noValue=EVIL)
    found = board(described, title=EVIL, description=EVIL, uid=EVIL)
    line = Line("A", int(NOW.timestamp()) * 10**9, {"job": EVIL}, EVIL)
    full = Answer({EVIL: EVIL}, [series(EVIL, 1, 2, le="1")], [line])
    for answer in (full, Answer({EVIL: EVIL}), Answer({EVIL: EVIL}, failure=EVIL)):
        content = render(found, [answer])
        document = Document(content)
        assert "script" not in document.tags
        assert not any(name.startswith("on") for name, _ in document.attributes)
        assert EVIL in document.text
        assert "<script" not in content


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_asks_nothing_of_the_network(kind: str) -> None:
    answer = Answer(
        {"A": "up"},
        [series("a", 1, 2, le="1")],
        [Line("A", 0, {"job": "x"}, "see http://example.org")],
    )
    content = render(board(panel(kind)), [answer])
    document = Document(content)
    assert {"script", "link", "img", "iframe", "object", "image", "use"}.isdisjoint(document.tags)
    assert not {"src", "href", "xlink:href"} & {name for name, _ in document.attributes}
    assert "url(" not in content
    assert "@import" not in content
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert ("content", policy) in document.attributes


def test_a_query_is_there_to_be_copied() -> None:
    query = 'sum by (le) (rate(x_bucket{job=~"..*"}[60s])) > 0'
    content = render(board(panel("stat")), [Answer({"A": query}, [series("a", 1)])])
    inside = content.partition("<details>")[2].partition("</details>")[0]
    assert f"A: {query}" in html.unescape(inside)
