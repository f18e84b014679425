"""One palette for all dashboards: what has an identity keeps its color everywhere.

The hues start from Okabe and Ito's set (jfly.uni-koeln.de/color). Their lightness is changed until each has a contrast
of at least 3:1 (WCAG 2.1, success criterion 1.4.11) against the backgrounds of Grafana's dark and light themes.
Grafana's own names, such as `yellow`, do not reach that in the light theme.
"""

from __future__ import annotations

from collections.abc import Mapping

GOOD, WARN, BAD = "#009E73", "#E9640C", "#C42D1C"
NEUTRAL = "#0072B2"
"""For a value that is neither good nor bad."""
ABSENT = "#6E7580"
"""For a value that does not exist, and for a series whose identity does not matter."""

_TILES = {GOOD: "#287756", WARN: "#A54A1D"}
"""Deeper shades of the colors that are too light as a background of text."""

CATEGORIES = (NEUTRAL, "#D55E00", GOOD, "#AF5FD3", "#C20A8B", "#A65430")
"""For series that a panel names itself, in the order in which it lists them."""

DARK_BACKGROUNDS = ("#111217", "#181b1f")
LIGHT_BACKGROUNDS = ("#f4f5f5", "#ffffff")
"""Canvas and panel of each theme (packages/grafana-data/src/themes/createColors.ts)."""

_SERVICE = {
    "rust-core-engine": "#D55E00",
    "python-ai-service": "#0072B2",
    "nextjs-ui-dashboard": "#AF5FD3",
    "mongodb": "#009E73",
    "redis": "#C20A8B",
    "rabbitmq": "#A65430",
    "kong": "#8533FF",
}
_STATUS = {"1..": ABSENT, "2..": GOOD, "3..": NEUTRAL, "4..": WARN, "5..": BAD}
_RECEIVED, _SENT = CATEGORIES[0], CATEGORIES[1]

BY_LABEL: Mapping[str, Mapping[str, str]] = {
    "service": _SERVICE,
    "job": _SERVICE,
    "status": _STATUS,
    "code": _STATUS,
    "severity": {"critical": BAD, "warning": WARN, "info": NEUTRAL},
    "side": {"BUY": "#009E73", "SELL": "#D55E00"},
    "signal": {"LONG": "#009E73", "SHORT": "#D55E00", "NEUTRAL": ABSENT},
    "direction": {"receive": _RECEIVED, "transmit": _SENT},
}
"""Label → what its values match, as a regular expression → color."""

BY_NAME: Mapping[str, str] = {
    "critical": BAD,
    "warning": WARN,
    "info": NEUTRAL,
    "p50": CATEGORIES[0],
    "p95": CATEGORIES[1],
    "p99": CATEGORIES[3],
    "received": _RECEIVED,
    "sent": _SENT,
    "errors": BAD,
    "failed": BAD,
    "rate limited": WARN,
    "limit": BAD,
    "buy": "#009E73",
    "sell": "#D55E00",
}
"""Names of series that mean the same on every dashboard."""


def behind_text(color: str) -> str:
    """Return the shade in which a color of this palette fills a tile.

    Grafana 9 to 13 draw the tile as a gradient around it, darker in the dark theme and lighter in the light one
    (packages/grafana-ui/src/components/BigValue/BigValueLayout.tsx), and write on it in white.
    """
    return _TILES.get(color, color)
