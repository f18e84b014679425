"""Alloy's language, and its components as the settings that they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins.promtail.alloy import config
from standins.promtail.alloy.syntax import Block, Reference, SyntaxProblem, parse
from standins.shared.process import ConfigError

CONFIG = (
    Path(__file__).parents[3] / "infrastructure" / "monitoring" / "loki" / "config.alloy"
).read_text(encoding="utf-8")


def load(folder: Path, text: str, *, experimental: bool = True) -> config.Config:
    path = folder / "config.alloy"
    path.write_text(text, encoding="utf-8")
    return config.load(
        path, storage=Path("/data"), address="0.0.0.0", port=12345, experimental=experimental
    )


def test_blocks_attributes_and_values() -> None:
    text = r"""
    // a comment
    loki.write "one" { /* and
      another */
      endpoint {
        url     = "http://a\n\u00e9"
        numbers = [1, -2.5, true, null]
        raw     = `\d+"`
        map     = { a = "b", "c d" = other.export, }
      }
    }
    """
    values = {
        "url": "http://a\n\u00e9",
        "numbers": [1, -2.5, True, None],
        "raw": '\\d+"',
        "map": {"a": "b", "c d": Reference("other.export")},
    }
    assert parse(text) == [Block("loki.write", "one", {}, [Block("endpoint", "", values)])]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a {", "expected a name, got the end"),
        ("a = 1", "outside of blocks"),
        ("a { b = }", "expected a value"),
        ("a { b = [1 2] }", "expected ,"),
        ("a { b = 1 b = 2 }", "line 1: b is set twice"),
        ("a { b = 1 + 2 }", "unexpected '\\+'"),
        ('a { b = "\\q" }', "unknown escape"),
        ("a { b = f(1) }", "unexpected '\\('"),
    ],
)
def test_what_is_not_in_the_language(text: str, error: str) -> None:
    with pytest.raises(SyntaxProblem, match=error):
        parse(text)


def test_the_file_of_the_stack_is_understood(tmp_path: Path) -> None:
    found = load(tmp_path, CONFIG)
    (scrape,) = found.scrapes
    assert found.positions == Path("/data/loki.source.docker.docker/positions.yml")
    assert (found.address, found.port, found.clients[0].batch_size) == ("0.0.0.0", 12345, 4096)
    assert [rule.action for rule in scrape.target_rules][-1] == "labelkeep"
    assert [rule.target for rule in scrape.rules] == ["stream"]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("discovery.docker ", "discovery.dockr ", "unrecognized block name 'discovery.dockr'"),
        ("batch_wait ", "batchwait ", "unrecognized attribute name 'batchwait' in endpoint"),
        ("stage.decolorize {", "stage.decolourize {", "unrecognized block name"),
        ("loki.process.docker.receiver", "loki.process.other.receiver", "does not exist"),
        ('action = "labelkeep"', 'action = "keeplabel"', "unknown relabel action"),
        ("^(?P<known_level>", "^(?P<known_level", "regex"),
        ('"4KiB"\n    min', '"4KX"\n    min', "not a valid size"),
        ('discovery.relabel "stream"', 'discovery.relabel "docker"', "already declared"),
        ('"tcp://docker-socket-proxy:2375"\n  refresh', '""\n  refresh', "host missing"),
    ],
)
def test_what_alloy_refuses(tmp_path: Path, old: str, new: str, error: str) -> None:
    assert old in CONFIG
    with pytest.raises(ConfigError, match=error):
        load(tmp_path, CONFIG.replace(old, new))


def test_the_queue_is_experimental(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="changing queue_config requires"):
        load(tmp_path, CONFIG, experimental=False)


def test_a_duplicate_timestamp_is_moved_unless_it_is_kept(tmp_path: Path) -> None:
    moved = CONFIG.replace('      action_on_duplicate_timestamp = "keep"\n', "")
    path = tmp_path / "config.alloy"
    path.write_text(moved, encoding="utf-8")
    stages = config.read(path).document["scrape_configs"][0]["pipeline_stages"]
    last = [one["match"] for one in stages if "match" in one][-1]
    assert last["stages"][0]["timestamp"]["action_on_duplicate_timestamp"] == "fudge"
