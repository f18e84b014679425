"""Parses LogQL by recursive descent, with one method per grammar rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from standins.shared import units
from standins.shared.labels import Matcher
from standins.shared.logql import pipeline, syntax
from standins.shared.logql.lexer import KEYWORDS, ParseError, Token, tokens
from standins.shared.logql.syntax import (
    COMPARISONS,
    Binary,
    Grouping,
    LogQuery,
    MetricQuery,
    Number,
    Query,
    RangeAggregation,
    Vector,
    VectorAggregation,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

_RANGE_FUNCTIONS = frozenset(
    {"RATE", "COUNT_OVER_TIME", "BYTES_RATE", "BYTES_OVER_TIME", "ABSENT_OVER_TIME"}
)
_VECTOR_FUNCTIONS = frozenset({"SUM", "AVG", "MAX", "MIN", "COUNT", "TOPK", "BOTTOMK"})
_WITH_PARAMETER = frozenset({"TOPK", "BOTTOMK"})
_NO_LABELS = (("SUM", None), ("SUM", Grouping(False, ())))
_MATCHER_OPS = ("=", "!=", "=~", "!~")
_LINE_OPS = ("|=", "|~", "!=", "!~")
_PRECEDENCE = (
    ("or",),
    ("and", "unless"),
    tuple(COMPARISONS),
    ("+", "-"),
    ("*", "/", "%"),
    ("^",),
)
_NO_STREAMS = (
    "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
    'For instance, app=~".*" does not meet this requirement, but app=~".+" will'
)


def parse(query: str) -> Query:
    """Return the parsed query. Raises ParseError with Loki's text."""
    return _Parser(query).whole()


def parse_log(query: str) -> LogQuery:
    """Parse a query that must return lines, not numbers. Raises ParseError."""
    parsed = parse(query)
    if not isinstance(parsed, LogQuery):
        raise ParseError("only log selector is supported")
    return parsed


def parse_selector(query: str) -> LogQuery:
    """Parse a query for lines that may match every stream, as in Promtail's match stage. Raises ParseError."""
    parser = _Parser(query)
    selected = parser.log_query()
    parser.expect("$end")
    return selected


def parse_matchers(query: str) -> tuple[Matcher, ...]:
    """Parse a selector without stages: `{a="b"}`. Raises ParseError."""
    parsed = parse(query)
    if not isinstance(parsed, LogQuery) or parsed.stages:
        raise ParseError("only label matchers is supported")
    return parsed.matchers


def parse_labels(text: str) -> dict[str, str]:
    """Parse a stream's labels as clients push them: `{a="b", c="d"}`. Raises ParseError."""
    parser = _Parser(text)
    matchers = parser.selector()
    parser.expect("$end")
    if any(matcher.op != "=" for matcher in matchers):
        raise ParseError("a stream's labels are given with =")
    return {matcher.name: matcher.value for matcher in matchers}


def _unparsed(log: LogQuery) -> LogQuery:
    """Remove the parsers of a query whose labels are not used: Loki does not run them, so they cannot fail."""
    if any(not isinstance(stage, pipeline.LineFilter | pipeline.Parser) for stage in log.stages):
        return log
    filters = (stage for stage in log.stages if isinstance(stage, pipeline.LineFilter))
    return LogQuery(log.matchers, tuple(filters))


def _check_streams(matchers: tuple[Matcher, ...]) -> None:
    if all(matcher.matches("") for matcher in matchers):
        raise ParseError(_NO_STREAMS)


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens = tokens(query)
        self._at = 0

    def whole(self) -> Query:
        query = self.log_query() if self._next.kind == "{" else self._binary(0)
        self.expect("$end")
        if isinstance(query, LogQuery):
            _check_streams(query.matchers)
        return query

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _accept(self, *kinds: str) -> Token | None:
        return self._take() if self._next.kind in kinds else None

    def expect(self, *kinds: str) -> Token:
        token = self._accept(*kinds)
        if token is None:
            expected = () if kinds == ("$end",) else kinds
            raise self._unexpected(*expected)
        return token

    def _unexpected(self, *expected: str) -> ParseError:
        token = self._next
        text = f"syntax error: unexpected {token.kind}"
        # As in the real program's parser generator, more than four are not listed.
        if expected and len(expected) <= 4:
            text += f", expecting {' or '.join(expected)}"
        return ParseError(text, token.line, token.column)

    def _missing(self, what: str) -> ParseError:
        return ParseError(f"the stand-in has no {what}", self._next.line, self._next.column)

    def log_query(self) -> LogQuery:
        return LogQuery(self.selector(), self._stages())

    def selector(self) -> tuple[Matcher, ...]:
        self.expect("{")
        matchers: list[Matcher] = []
        if self._accept("}"):
            return ()
        while True:
            name = self._take_name("IDENTIFIER", "}")
            op = self.expect(*_MATCHER_OPS)
            matchers.append(self._checked(Matcher, name, op.kind, self.expect("STRING").text))
            if self.expect("}", ",").kind == "}":
                return tuple(matchers)

    def _take_name(self, *expected: str) -> str:
        """A label may have the name of a keyword where no keyword is allowed."""
        if self._next.kind in KEYWORDS:
            return self._take().text
        token = self._accept("IDENTIFIER")
        if token is None:
            raise self._unexpected(*expected)
        return token.text

    def _checked(self, make: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return make(*args, **kwargs)
        except ValueError as error:
            raise ParseError(str(error)) from None

    def _stages(self) -> tuple[pipeline.Stage, ...]:
        stages: list[pipeline.Stage] = []
        while True:
            if op := self._accept(*_LINE_OPS):
                if self._next.kind == "ip":
                    raise self._missing("ip() filter")
                text = self.expect("STRING").text
                stages.append(self._checked(pipeline.LineFilter, op.kind, text))
            elif self._accept("|"):
                stages.append(self._stage())
            else:
                return tuple(stages)

    def _stage(self) -> pipeline.Stage:
        token = self._next
        match token.kind:
            case "json":
                self._take()
                return pipeline.Json(self._json_expressions())
            case "logfmt":
                self._take()
                return pipeline.Logfmt()
            case "regexp":
                self._take()
                return self._checked(pipeline.Regexp, self.expect("STRING").text)
            case "line_format":
                self._take()
                return self._checked(pipeline.LineFormat, self.expect("STRING").text)
            case "decolorize":
                self._take()
                return pipeline.Decolorize()
            case "drop":
                self._take()
                return pipeline.Drop(self._dropped())
            case "IDENTIFIER" | "(":
                return self._label_filter()
            case kind if kind in KEYWORDS:
                raise self._missing(f"| {kind}")
            case _:
                raise self._unexpected()

    def _json_expressions(self) -> tuple[tuple[str, str], ...]:
        expressions: list[tuple[str, str]] = []
        while name := self._accept("IDENTIFIER"):
            path = self.expect("STRING").text if self._accept("=") else name.text
            expressions.append((name.text, path))
            if not self._accept(","):
                break
        return tuple(expressions)

    def _dropped(self) -> tuple[str | Matcher, ...]:
        dropped: list[str | Matcher] = []
        while True:
            name = self.expect("IDENTIFIER").text
            op = self._accept(*_MATCHER_OPS)
            dropped.append(
                self._checked(Matcher, name, op.kind, self.expect("STRING").text) if op else name
            )
            if not self._accept(","):
                return tuple(dropped)

    def _label_filter(self) -> pipeline.Stage:
        left = self._label_conjunction()
        while self._accept("or"):
            left = pipeline.Either(left, self._label_conjunction())
        return left

    def _label_conjunction(self) -> pipeline.Stage:
        left = self._label_condition()
        while self._accept("and", ","):
            left = pipeline.Both(left, self._label_condition())
        return left

    def _label_condition(self) -> pipeline.Stage:
        if self._accept("("):
            inner = self._label_filter()
            self.expect(")")
            return inner
        name = self._take_name("IDENTIFIER", "(")
        op = self._accept(*_MATCHER_OPS, *COMPARISONS)
        if op is None:
            raise self._unexpected()
        if op.kind in _MATCHER_OPS and (text := self._accept("STRING")):
            return pipeline.LabelMatch(self._checked(Matcher, name, op.kind, text.text))
        if op.kind in {"=~", "!~"}:
            raise self._unexpected("STRING")
        value = self.expect("BYTES", "NUMBER", "DURATION")
        return pipeline.LabelCompare(name, op.kind, value.number, value.kind)

    def _binary(self, level: int) -> MetricQuery:
        if level == len(_PRECEDENCE):
            return self._operand()
        left = self._binary(level + 1)
        while op := self._accept(*_PRECEDENCE[level]):
            as_bool = op.kind in COMPARISONS and self._accept("bool") is not None
            if self._next.kind in {"on", "ignoring"}:
                raise self._missing(f"{self._next.kind}(…) matching")
            # ^ is right-associative, the others are left-associative.
            right = self._binary(level if op.kind == "^" else level + 1)
            left = self._join(op.kind, left, right, as_bool=as_bool)
        return left

    def _join(
        self, op: str, left: MetricQuery, right: MetricQuery, *, as_bool: bool
    ) -> MetricQuery:
        if op in syntax.SETS:
            for side, operand in (("left", left), ("right", right)):
                if isinstance(operand, Number):
                    raise ParseError(
                        f"unexpected literal for {side} leg of logical/set binary operation ({op}): "
                        f"{operand.value:f}"
                    )
        return Binary(op, left, right, as_bool)

    def _operand(self) -> MetricQuery:
        token = self._next
        if self._accept("("):
            inner = self._binary(0)
            self.expect(")")
            return inner
        if sign := self._accept("-", "+"):
            number = self.expect("NUMBER").number
            return Number(-number if sign.kind == "-" else number)
        if self._accept("NUMBER"):
            return Number(token.number)
        if token.kind == "VECTOR":
            self._take()
            self.expect("(")
            number = self.expect("NUMBER").number
            self.expect(")")
            return Vector(number)
        if token.kind in _RANGE_FUNCTIONS:
            return self._range_aggregation()
        if token.kind in _VECTOR_FUNCTIONS:
            return self._vector_aggregation()
        if token.kind.isupper() and token.kind.lower() == token.text and token.kind != "IDENTIFIER":
            raise self._missing(f"{token.text}()")
        raise self._unexpected()

    def _range_aggregation(self) -> RangeAggregation:
        function = self._take().text
        self.expect("(")
        parentheses = 0
        while self._accept("("):
            parentheses += 1
        if self._next.kind != "{":
            raise self._unexpected("{", "(")
        matchers = self.selector()
        _check_streams(matchers)
        # The window may be before or after the stages.
        window = self._accept("RANGE")
        stages = self._stages()
        if self._next.kind == "unwrap":
            raise self._missing("| unwrap")
        for _ in range(parentheses):
            self.expect(")")
        if window is None:
            window = self.expect("RANGE")
        offset = self.expect("DURATION").number if self._accept("offset") else 0.0
        self.expect(")")
        if self._next.kind in {"by", "without"}:
            raise ParseError(f"grouping not allowed for {function} aggregation")
        return RangeAggregation(
            function,
            LogQuery(matchers, stages),
            round(window.number * units.NANOSECONDS),
            round(offset * units.NANOSECONDS),
        )

    def _vector_aggregation(self) -> VectorAggregation:
        token = self._take()
        grouping = self._grouping()
        self.expect("(")
        parameter = 0
        if token.kind in _WITH_PARAMETER:
            if self._next.kind != "NUMBER":
                raise ParseError(f"parameter required for operation {token.text}")
            number = self._take()
            if not number.text.isdigit() or int(number.text) < 1:
                raise ParseError(f"invalid parameter {token.text}({number.text},")
            parameter = int(number.text)
            self.expect(",")
        inner = self._binary(0)
        self.expect(")")
        grouping = grouping or self._grouping()
        if (token.kind, grouping) in _NO_LABELS and isinstance(inner, RangeAggregation):
            inner = replace(inner, log=_unparsed(inner.log))
        return VectorAggregation(token.text, inner, grouping, parameter)

    def _grouping(self) -> Grouping | None:
        word = self._accept("by", "without")
        if word is None:
            return None
        self.expect("(")
        names: list[str] = []
        while not self._accept(")"):
            names.append(self._take_name("IDENTIFIER", ")"))
            if self._next.kind != ")":
                self.expect(",", ")")
        return Grouping(word.kind == "without", tuple(names))
