"""Formats the plan of an `up` as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from stackctl.lifecycle.plan import UpPlan
from stackctl.lifecycle.rehearsal import Rehearsal
from stackctl.services.releases import Release, table

_PASSWORD = {
    "keep": "admin password unchanged",
    "set": "admin password is reset to the current one",
    "unknown": "admin password is checked once Grafana is running",
}


def as_json(plan: UpPlan, rehearsal: Rehearsal) -> dict[str, Any]:
    """Return a rehearsed plan as a JSON object, whose keys the help of `up` documents."""
    containers = plan.containers
    assert containers is not None  # noqa: S101 - it was rehearsed
    state, images, rendering = plan.state, plan.facts.images, rehearsal.rendering
    return {
        "ok": True,
        "failures": [],
        "warnings": [
            {"subject": one.subject, "message": one.message, "remedy": one.remedy}
            for one in plan.warnings
        ],
        "changes": plan.has_changes,
        "request": {
            "demo": state.demo,
            "network": state.network,
            "app_files": list(state.app_files),
        },
        "images": {
            "set": images.set,
            "releases": _releases(plan),
            "reason": images.reason,
            "falls_back": images.falls_back and bool(images.pull or images.build),
            "pull": list(images.pull),
            "build": list(images.build),
        },
        "compose_update": asdict(plan.compose_update) if plan.compose_update else None,
        "files": asdict(rehearsal.files),
        "containers": asdict(containers),
        "volumes": {
            "reset": [asdict(one) for one in plan.resets],
            "upgrade": [
                {"volume": one.volume, "before": one.before.image, "after": one.after.image}
                for one in plan.upgrades
            ],
            "remove": list(plan.stale_volumes or ()),
        },
        "cleanup": {
            "unfinished_down": plan.facts.down_cut_off,
            "containers": [*plan.leftovers, *plan.abandoned],
        },
        "grafana_password": rehearsal.grafana_password,
        "notifications": {"on": list(rendering.channels), "off": dict(rendering.left_out)},
        "services": [one.name for one in plan.facts.services],
        "not_monitored": {
            "services": list(plan.not_monitored),
            "missing": [asdict(one) for one in rehearsal.missing],
            "alerts": list(rendering.alerts_left_out),
            "panels": list(rendering.panels_left_out),
        },
    }


def as_text(plan: UpPlan, rehearsal: Rehearsal) -> Table:
    """Return a rehearsed plan as a table of subjects and what happens to them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for subject, lines in _sections(plan, rehearsal):
        for line in lines:
            table.add_row(Text(subject, style="bold"), line)
            subject = ""
    return table


def _sections(plan: UpPlan, rehearsal: Rehearsal) -> Iterator[tuple[str, list[Text]]]:
    yield "cleanup", list(_cleanup(plan))
    yield "images", list(_images(plan))
    yield "files", list(_files(rehearsal))
    yield "volumes", list(_volumes(plan))
    yield "containers", list(_containers(plan))
    yield "Grafana", [Text(_PASSWORD[rehearsal.grafana_password])]
    yield "notifications", list(_notifications(plan, rehearsal))
    names = [one.name for one in plan.facts.services]
    yield "services", [Text(f"{len(names)}: {', '.join(names)}")]
    yield "not monitored", list(_not_monitored(plan, rehearsal))
    yield (
        "warnings",
        [
            Text(f"{one.message}; {one.remedy}", style="yellow")
            for one in plan.warnings
            # These have their own section.
            if one.subject != "notifications"
        ],
    )


def _cleanup(plan: UpPlan) -> Iterator[Text]:
    if plan.facts.down_cut_off:
        yield Text("finish the interrupted `down`", style="yellow")
    yield from _named(
        "remove", [*plan.leftovers, *plan.abandoned], "left over from a killed command"
    )


def _images(plan: UpPlan) -> Iterator[Text]:
    images = plan.facts.images
    yield Text(f"{images.set} set" + (f": {images.reason}" if images.reason else ""))
    yield from _named("current release of", plan.current_images)
    yield from _named("pull", images.pull)
    yield from _named("build", images.build)
    if images.falls_back and (images.pull or images.build):
        yield Text("fall back to the local set if that fails", style="dim")


def _releases(plan: UpPlan) -> dict[str, Release]:
    """Return the release of each of the stack's own images that would run."""
    ours = (one.image_name for one in plan.facts.services if one.image_name in table())
    return plan.state.releases.record(ours)


def _files(rehearsal: Rehearsal) -> Iterator[Text]:
    files = rehearsal.files
    if not files:
        yield Text("no changes")
    if files.added:
        # On the first `up` this is every file.
        yield Text(f"add {len(files.added)}: {_brief(files.added)}", style="green")
    yield from _named("change", files.changed)
    yield from _named("remove", files.removed)


def _volumes(plan: UpPlan) -> Iterator[Text]:
    for reset in plan.resets:
        yield Text(f"empty {reset.volume}: {reset.reason}", style="yellow")
    for move in plan.upgrades:
        yield Text(f"upgrade {move.volume} from {move.before} to {move.after}", style="yellow")
    yield from _named("remove", plan.stale_volumes or (), "configuration that is no longer mounted")


def _containers(plan: UpPlan) -> Iterator[Text]:
    containers = plan.containers
    assert containers is not None  # noqa: S101 - it was rehearsed
    if plan.compose_update is not None:
        yield Text(str(plan.compose_update), style="yellow")
    parts = [
        *_named("create", containers.create),
        *_named("recreate", containers.recreate or ()),
        *_named("possibly recreate", containers.dependents, "depends on a recreated one"),
        *_named("start", containers.start),
        *_named("remove", containers.remove),
    ]
    if containers.recreate is None:
        parts.append(Text("recreate: unknown until the images are built", style="dim"))
    yield from parts or [Text("no changes")]


def _notifications(plan: UpPlan, rehearsal: Rehearsal) -> Iterator[Text]:
    rendering = rehearsal.rendering
    if rendering.channels:
        yield Text(f"{', '.join(rendering.channels)}: on")
    target = "the demo's notification-sink receives them" if plan.state.demo else "off"
    for channel, settings in rendering.left_out.items():
        yield Text(f"{channel}: {target}; to configure it, set {', '.join(settings)}")


def _not_monitored(plan: UpPlan, rehearsal: Rehearsal) -> Iterator[Text]:
    rendering = rehearsal.rendering
    for one in rehearsal.missing:
        yield Text(f"{one.message}; {one.remedy}", style="yellow")
    yield from _named("not found:", plan.not_monitored)
    alerts, panels = len(rendering.alerts_left_out), len(rendering.panels_left_out)
    if alerts or panels:
        yield Text(f"{alerts} alerts and {panels} panels left out")


def _named(verb: str, names: Iterable[str], reason: str = "") -> Iterator[Text]:
    """Yield a line with these names unless there are none."""
    if joined := ", ".join(names):
        yield Text(f"{verb} {joined}" + (f" ({reason})" if reason else ""))


def _brief(names: tuple[str, ...], shown: int = 3) -> str:
    """Return the first few names, and the number of the others."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
