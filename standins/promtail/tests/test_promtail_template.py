"""Go's templates, as far as the stand-ins have them."""

from __future__ import annotations

import pytest

from standins.shared.template import Template, TemplateError

VALUES = {"level": "WARN", "empty": "", "text": "a1b22"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain {braces}", "plain {braces}"),
        ("{{ .level }}/{{.missing}}", "WARN/<no value>"),
        ("{{ ToLower .level }}", "warn"),
        ("{{ .level | ToLower | ToUpper }}", "WARN"),
        ("{{ if .empty }}yes{{ else }}no{{ end }}", "no"),
        ("{{ if .missing }}a{{ else if eq .level `WARN` }}b{{ else }}c{{ end }}", "b"),
        ('{{ if eq .level "x" "WARN" }}in{{ end }}', "in"),
        ('{{ if and .level (not .empty) }}{{ "\\x02" }}{{ end }}', "\x02"),
        ('{{ or .empty .text "z" }}', "a1b22"),
        ('{{ or .empty .missing "z" }}', "z"),
        ('{{ if hasKey . "empty" }}has{{ end }}{{ if hasKey . "no" }}not{{ end }}', "has"),
        ("{{ if gt (len .text) 4 }}long{{ end }}", "long"),
        ('{{ regexReplaceAllLiteral "[0-9]+" .text "$1" }}', "a$1b$1"),
        ('{{ regexReplaceAll "([0-9])[0-9]*" .text "<${1}>" }}', "a<1>b<2>"),
        ("a \n {{- .level -}} \n b {{ .text }} c", "aWARNb a1b22 c"),
        ("{{ if .level -}} {{ .text }} {{- end }}!", "a1b22!"),
    ],
)
def test_templates(text: str, expected: str) -> None:
    assert Template(text).render(VALUES) == expected


def test_names_and_missing_values_of_the_caller() -> None:
    template = Template("{{ or .message __line__ }}{{ .missing }}", ["__line__"])
    assert template.render({}, missing="", constants={"__line__": "raw"}) == "raw"
    assert template.render({"message": "m"}, missing="", constants={"__line__": "raw"}) == "m"


@pytest.mark.parametrize("text", ["{{ ToLower .missing }}", "{{ len 1 }}", "{{ gt .text 1 }}"])
def test_a_function_on_the_wrong_value_fails(text: str) -> None:
    with pytest.raises(TemplateError):
        Template(text).render(VALUES)


@pytest.mark.parametrize(
    "text",
    [
        "{{ .a",
        "{{ if .a }}",
        "{{ if .a }}{{ else }}",
        "{{ end }}",
        "{{ nope .a }}",
        "{{ range .a }}{{ end }}",
        "{{ $x := .a }}",
        "{{ ToLower }}",
        "{{ (.a }}",
        "{{ .a | .b }}",
        "{{ }}",
        "{{ .a .b }}",
    ],
)
def test_what_is_no_template_or_not_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="template"):
        Template(text)
