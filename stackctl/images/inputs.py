"""What an image is built from, as a digest that tells whether an image that is here is up to date.

The digest of an image covers the instructions of its Dockerfile's target, of the stages below it and of those that
these mount, and the files that all of them copy. So an edit changes the digests of the images that it goes into, and no
other. What does not run does not count: comments and blank lines of Dockerfiles and Python files, and docstrings, which
no program in our images reads. To leave these out takes Python a second for all images, so there is a quick digest of
the bytes too: where it is the same, so is the other.
"""

from __future__ import annotations

import hashlib
import io
import re
import shlex
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from stackctl.util import yaml_text

NOT_COPIED = frozenset({"__pycache__", "tests"})
"""Folders that the .dockerignore files keep out of the images."""

_LENGTH = 16
_STAGE = re.compile(r"FROM (?P<parent>\S+)(?: AS (?P<name>\S+))?", re.IGNORECASE)
_MOUNTED = re.compile(r"--mount=from=(\w+),")
_COPY = re.compile(r"(?:COPY|ADD)\s", re.IGNORECASE)
_NO_CODE = frozenset({tokenize.COMMENT, tokenize.NL})
_STATEMENT_FOLLOWS = frozenset({tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT})
_STATEMENT_ENDS = frozenset({tokenize.NEWLINE, tokenize.COMMENT})


def digest(parts: Iterable[str | bytes]) -> str:
    """Return the first 16 hexadecimal digits of a SHA-256 over these parts and their lengths."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(b"%d:%b" % (len(content), content))
    return whole.hexdigest()[:_LENGTH]


def of_images(build_file: Path, base: str, *, quick: bool = False) -> dict[str, str]:
    """Return the digest of what each image of a compose file is built from, by service.

    `base` is the digest of the image that all of them are built on. A `quick` digest is of every byte of the files that
    are copied. Raises OSError where such a file is missing, and KeyError for a target that no Dockerfile has.
    """
    services = yaml_text.load(build_file.read_text(encoding="utf-8"))["services"]
    return {
        name: digest((base, *_parts(build_file.parent, service["build"], quick=quick)))
        for name, service in services.items()
    }


def _parts(folder: Path, build: Mapping[str, Any], *, quick: bool) -> Iterator[str | bytes]:
    """Yield all that goes into an image, from the `build` section of its service."""
    context = folder / build["context"]
    yield repr(sorted(build.get("args", {}).items()))
    dockerfile = (context / "Dockerfile").read_text(encoding="utf-8")
    for instruction in _instructions(dockerfile, build.get("target")):
        yield instruction
        for path in _copied(context, instruction):
            yield path.relative_to(context).as_posix()
            if quick or path.suffix != ".py":
                yield path.read_bytes()
            else:
                yield running(path.read_text(encoding="utf-8"))


def _instructions(dockerfile: str, target: str | None) -> list[str]:
    """Return the instructions that make a target, by default the last stage: its own and those of stages it needs."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    stages: dict[str | None, list[str]] = {None: []}
    name: str | None = None
    for instruction in "\n".join(lines).replace("\\\n", " ").splitlines():
        if stage := _STAGE.fullmatch(instruction.strip()):
            name = stage["name"] or f"stage {len(stages)}"
            stages[name] = [*stages.get(stage["parent"], stages[None])]
        for mounted in _MOUNTED.findall(instruction):
            stages[name] += stages[mounted]
        if instruction.strip():
            stages[name].append(instruction.strip())
    return stages[target or name]


def _copied(context: Path, instruction: str) -> Iterator[Path]:
    """Yield the files that an instruction copies from the context."""
    if not _COPY.match(instruction):
        return
    paths = [word for word in shlex.split(instruction)[1:] if not word.startswith("--")]
    for top in (context / source for source in paths[:-1]):
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if not path.is_dir() and NOT_COPIED.isdisjoint(path.relative_to(context).parts):
                yield path


@cache
def running(source: str) -> str:
    """Return Python source without what does not run: comments, blank lines, and strings that are statements.

    Source that is not valid is returned as it is. The text of the rest stays, because what Python makes of it differs
    between Python's releases, and the digest travels between machines.
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError):
        return source
    lines = source.split("\n")
    dropped: set[int] = set()
    before = tokenize.NEWLINE
    for one, after in pairwise(tokens):
        first, last = one.start[0] - 1, one.end[0] - 1
        if one.type == tokenize.COMMENT:
            lines[first] = lines[first][: one.start[1]].rstrip()
        if one.type in _NO_CODE:
            if not lines[first].strip():
                dropped.add(first)
            continue
        if (
            one.type == tokenize.STRING
            # An f-string may call something.
            and one.string.lstrip("rRuU")[0] in "'\""
            and before in _STATEMENT_FOLLOWS
            and after.type in _STATEMENT_ENDS
        ):
            dropped.update(range(first, last + 1))
        before = one.type
    return "\n".join(line for row, line in enumerate(lines) if row not in dropped)
