"""Digests of the inputs of an image, which show whether an existing image is up to date.

The digest of an image covers the instructions of its target in the Dockerfile, of the stages below it and of those
that they mount, and the files that all of these copy. So an edit only changes the digests of the images that contain
it. What does not run is left out: comments and blank lines in Dockerfiles and Python files, and docstrings, which no
program in these images reads. As that takes a second for all images, there is also a quick digest of all bytes: if it
is unchanged, so is the other.
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
    """Return the digest of the inputs of each image in a compose file, by service.

    `base` is the digest of the base image of all of them. A `quick` digest covers every byte of the copied files.
    Raises OSError if such a file is missing, KeyError for a target that does not exist.
    """
    services = yaml_text.load(build_file.read_text(encoding="utf-8"))["services"]
    return {
        name: digest((base, *_parts(build_file.parent, service["build"], quick=quick)))
        for name, service in services.items()
    }


def _parts(folder: Path, build: Mapping[str, Any], *, quick: bool) -> Iterator[str | bytes]:
    """Yield all inputs of an image, from the `build` section of its service."""
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
    """Return the instructions of a target, by default the last stage, and of the stages that it needs."""
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
    """Return Python source without comments, blank lines and strings that are statements.

    Invalid source is returned as it is. The rest stays as text, because the digest must be the same on all machines,
    and compiled code differs between versions of Python.
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
            # An f-string may call a function.
            and one.string.lstrip("rRuU")[0] in "'\""
            and before in _STATEMENT_FOLLOWS
            and after.type in _STATEMENT_ENDS
        ):
            dropped.update(range(first, last + 1))
        before = one.type
    return "\n".join(line for row, line in enumerate(lines) if row not in dropped)
