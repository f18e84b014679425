"""Print the phrases of wording.yml in tracked text files, as FILE:LINE, and exit with 1 if there are any."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
RULES = Path(__file__).with_name("wording.yml")
_GAP = r"(?:\s|#|//|\*)+"


@dataclass(frozen=True)
class Phrase:
    """A regular expression for a phrase, what to write instead, and a text that it matches."""

    pattern: re.Pattern[str]
    write: str
    example: str


@dataclass(frozen=True)
class Rules:
    """The phrases, and regular expressions for the paths of files that are not checked yet."""

    phrases: tuple[Phrase, ...]
    not_yet: tuple[str, ...]

    def covers(self, path: str) -> bool:
        """Return whether a file, by its path in the repository, is checked."""
        return not any(re.search(pattern, path) for pattern in self.not_yet)


def read_rules() -> Rules:
    """Return the rules of wording.yml."""
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    phrases = (
        Phrase(re.compile(row["pattern"].replace(" ", _GAP)), row["write"], row["example"])
        for row in document["phrases"]
    )
    return Rules(tuple(phrases), tuple(document["not_yet"]))


def tracked() -> list[str]:
    """Return the paths of the tracked files, other than the rules themselves."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    return [path for path in listed.split("\0") if path and ROOT / path != RULES]


def found(text: str, phrases: tuple[Phrase, ...]) -> Iterator[tuple[int, str, str]]:
    """Yield the line number, the text and the replacement of each phrase in a text, in order."""
    hits = [(match, one.write) for one in phrases for match in one.pattern.finditer(text)]
    for match, write in sorted(hits, key=lambda hit: hit[0].start()):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), write


def main() -> int:
    """Return 1 if a phrase was found, otherwise 0."""
    rules = read_rules()
    total = 0
    for path in filter(rules.covers, tracked()):
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or another binary file
        for line, phrase, write in found(text, rules.phrases):
            sys.stdout.write(f"{path}:{line}: {phrase!r}: write {write}\n")
            total += 1
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
