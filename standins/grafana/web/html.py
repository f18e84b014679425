"""Plain pages without scripts. `element` escapes every text in them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from aiohttp import web

from standins.grafana import FULL_VERSION

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 0; background: #111217; color: #d8d9da; }
header, main { padding: .6rem 1.2rem; }
header { background: #181b1f; border-bottom: 1px solid #2c3235; }
a { color: #6e9fff; }
.notice { background: #3d2b00; color: #ffd479; padding: .4rem 1.2rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); gap: .8rem; }
.panel { background: #181b1f; border: 1px solid #2c3235; padding: .6rem .8rem; overflow-x: auto; }
h2 { grid-column: 1 / -1; margin: .6rem 0 0; font-size: 1.05rem; }
h3 { margin: 0; font-size: 1rem; }
small, .kind { color: #9a9da1; }
code { display: block; white-space: pre-wrap; overflow-wrap: anywhere; color: #9fc3a4; }
.error { color: #ff7383; }
form { display: grid; gap: .5rem; max-width: 18rem; }
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_VOID = {"input", "br"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """Return an element; children other than Markup, and all attributes, are escaped. `class_` means class."""
    written = "".join(
        f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items()
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[str]) -> Markup:
    """Concatenate texts; those other than Markup are escaped."""
    return Markup("".join(one if isinstance(one, Markup) else escape(one) for one in children))


def page(title: str, *content: str, base: str, status: int = 200, user: str = "") -> web.Response:
    """Return a page. `base` is the prefix of links, `user` is logged in."""
    who = (user, " · ", element("a", "log out", href=f"{base}/logout")) if user else ()
    head = element("title", f"{title} - Grafana stand-in") + element("style", Markup(_STYLE))
    body = join(
        (
            element("header", element("a", "Dashboards", href=f"{base}/"), " · ", *who),
            element(
                "div",
                f"This is a stand-in for Grafana ({FULL_VERSION}), not Grafana: "
                "it shows the queries of each panel without drawing them.",
                class_="notice",
            ),
            element("main", element("h1", title), *content),
        )
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{head}</head><body>{body}</body></html>'
    )
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def login(base: str, *, failed: bool = False) -> web.Response:
    """Return the login form."""
    wrong = (element("p", "Invalid username or password", class_="error"),) if failed else ()
    form = element(
        "form",
        element(
            "label", "User", element("br"), element("input", name="user", autocomplete="username")
        ),
        element(
            "label",
            "Password",
            element("br"),
            element("input", name="password", type="password", autocomplete="current-password"),
        ),
        element("button", "Log in"),
        method="post",
        action=f"{base}/login",
    )
    return page("Log in", *wrong, form, base=base, status=401 if failed else 200)
