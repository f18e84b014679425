"""Values of settings: our verdict on each is the one of the program that reads it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from stackctl.values import parsers
from tests.support.judged_values import IMAGES, MONGODB_URIS, RECIPIENTS, SENDERS, URLS

Parser = Callable[[str], str]
TABLES: list[tuple[Parser, Mapping[str, bool]]] = [
    (parsers.recipients, RECIPIENTS),
    (parsers.sender, SENDERS),
    (parsers.url, URLS),
    (parsers.image, IMAGES),
    (parsers.mongodb_uri, MONGODB_URIS),
]


def takes(parse: Parser, value: str) -> bool:
    try:
        parse(value)
    except ValueError as reason:
        assert str(reason)
        return False
    return True


@pytest.mark.parametrize(("parse", "table"), TABLES, ids=lambda one: getattr(one, "__name__", ""))
def test_the_verdict_is_the_programs(parse: Parser, table: Mapping[str, bool]) -> None:
    assert {value: takes(parse, value) for value in table} == dict(table)


@pytest.mark.parametrize("parse", [parse for parse, _ in TABLES])
@pytest.mark.parametrize(
    "value", ["a" * 32_000, "a " * 16_000, "a@b," * 8_000 + "!@", '"\\' * 16_000, "a-" * 16_000]
)
def test_a_long_value_is_judged_at_once(parse: Parser, value: str) -> None:
    began = time.monotonic()
    takes(parse, value)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("parse", [parsers.sender, parsers.recipients])
def test_an_address_that_alertmanager_would_take_for_a_template_is_refused(parse: Parser) -> None:
    with pytest.raises(ValueError, match="template"):
        parse("a{{b}}@x.example")


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("[127.0.0.1]", None),
        ("[::1", None),
        ("::1]", None),
        ("[]", None),
        ("fe80::1%eth0", None),
        ("localhost", None),
    ],
)
def test_an_address_is_normalised(value: str, address: str | None) -> None:
    if address is None:
        with pytest.raises(ValueError, match="expected an IP address"):
            parsers.address(value)
    else:
        assert parsers.address(value) == address


@pytest.mark.parametrize("password", ["abc", "abcd", "äb"])
def test_a_password_that_grafana_calls_too_short_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="at least 5 characters"):
        parsers.grafana_password(password)
    assert parsers.grafana_password(f"{password}-{password}")


def test_a_way_to_encrypt_mail_is_one_of_four() -> None:
    assert [parsers.smtp_tls(value) for value in ("auto", "STARTTLS", "Implicit", "none")] == [
        *parsers.SMTP_TLS
    ]
    with pytest.raises(ValueError, match="expected one of auto, starttls, implicit, none"):
        parsers.smtp_tls("ssl")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("http://proxy.corp.example:3128", None),
        ("https://10.1.2.3:8080/", None),
        ("proxy:3128", "an http:// or https:// URL"),
        ("socks5://proxy:1080", "an http:// or https:// URL"),
        ("http://me:word@proxy:3128", "without a user name and password"),
        ("http://127.0.0.1:3128", "loopback"),
        ("http://localhost:3128", "loopback"),
        ("http://[::1]:3128", "loopback"),
    ],
)
def test_a_proxy_is_one_that_containers_reach_and_no_secret(value: str, reason: str | None) -> None:
    if reason is None:
        assert parsers.proxy(value) == value
        return
    with pytest.raises(ValueError, match=reason):
        parsers.proxy(value)


@pytest.mark.parametrize(
    ("value", "taken"),
    [("corp.example,.intra.example,10.0.0.0/8, [::1],*", True), ("a b;c", False), ("a,,b", False)],
)
def test_exceptions_from_the_proxy_are_a_list_of_hosts_and_networks(
    value: str, taken: bool
) -> None:
    assert takes(parsers.no_proxy, value) == taken


def certificate(folder: Path) -> str:
    """Make a certificate and its key, and return the certificate."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=Company CA", "-keyout", "key.pem", "-out", "ca.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    return (folder / "ca.pem").read_text()


def test_authorities_are_a_file_of_certificates_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path)
    key = (tmp_path / "key.pem").read_text()
    contents = {
        "good.pem": f"# our own\n{pem}\n{pem}",
        "empty.pem": "",
        "text.pem": "no certificate",
        "cut.pem": pem[: len(pem) // 2],
        "broken.pem": pem + pem.replace("MII", "XXX", 1),
        "both.pem": pem + key,
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    assert parsers.certificates("good.pem") == str(tmp_path / "good.pem")
    for name in ("empty.pem", "text.pem", "cut.pem", "broken.pem"):
        with pytest.raises(ValueError, match="a PEM file with certificates"):
            parsers.certificates(name)
    with pytest.raises(ValueError, match="it contains a private key"):
        parsers.certificates("both.pem")
    with pytest.raises(ValueError, match="cannot read it: No such file"):
        parsers.certificates("none.pem")
    with pytest.raises(ValueError, match="cannot read it: Is a directory"):
        parsers.certificates(str(tmp_path))


@pytest.mark.parametrize(
    ("uri", "one"),
    [
        ("mongodb://u:p@h:1/?readPreferenceTags=dc:ny,rack:1", True),
        ("mongodb://u:p,q@h", True),
        ("mongodb://h1,h2", False),
        ("mongodb+srv://h.example", False),
    ],
)
def test_an_address_of_mongodb_names_one_server_or_several(uri: str, one: bool) -> None:
    assert parsers.mongodb_uri(uri) == uri
    assert parsers.names_one_mongodb(uri) == one


@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\rb", "a\tb", "a\x00b", "a\x1b[2Jb", "a\u2028b", "a\u202eb", "a\udc80b", "x" * 301],
)
@pytest.mark.parametrize("parse", [parsers.line, parsers.command])
def test_text_for_messages_is_one_bounded_line(parse: Callable[..., str], value: str) -> None:
    with pytest.raises(
        ValueError, match=r"one line of printable characters|at most 300 characters"
    ):
        parse(value, longest=300)


def test_text_for_messages_is_otherwise_kept_as_it_is() -> None:
    value = "\"q\" 'q' {{ .Status }} <!channel> & `b` \\ $(x) ü 行"
    assert parsers.line(value, longest=300) == value
    assert parsers.command(value, longest=300) == value
    with pytest.raises(ValueError, match="without ```"):
        parsers.command("a ``` b", longest=300)


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ("https://wiki.example/runbooks", "https://wiki.example/runbooks"),
        ("https://wiki.example/runbooks//", "https://wiki.example/runbooks"),
        ("https://wiki.example", "https://wiki.example"),
        ("http://[::1]:8000/a%20b", "http://[::1]:8000/a%20b"),
        (
            "https://w.example/a b{{ .X }}\"q\"'q'<b>&`c`|d\\ü",
            "https://w.example/a%20b%7B%7B%20.X%20%7D%7D%22q%22%27q%27%3Cb%3E%26%60c%60%7Cd%5C%C3%BC",
        ),
        ("https://user:word@wiki.example/runbooks", None),
        ("https://wiki.example/runbooks?version=1", None),
        ("https://wiki.example/runbooks#top", None),
        ("https://wiki.example/a\nb", None),
        ("wiki.example/runbooks", None),
        ("javascript:alert(1)", None),
    ],
)
def test_the_base_of_links_is_percent_encoded(value: str, base: str | None) -> None:
    if base is None:
        with pytest.raises(ValueError, match="expected"):
            parsers.base_url(value)
    else:
        assert parsers.base_url(value) == base
        assert parsers.base_url(base) == base
