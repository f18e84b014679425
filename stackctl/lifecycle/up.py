"""Starts the stack: checks an unchanged one, and plans and carries out everything else.

The plan and its execution are imported where they are used, because an `up` that finds nothing to change needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stackctl.images.choice import Choice
from stackctl.lifecycle import settled
from stackctl.lifecycle.proof import Up, set_grafana_password, wait_for_readiness
from stackctl.lifecycle.settled import Asked, Settled
from stackctl.project import process_lock, unfinished_restore
from stackctl.project.process_lock import exclusive
from stackctl.project.project import Project, UpRequest
from stackctl.project.state import refuse_unwritable
from stackctl.readiness.observer import Observer
from stackctl.services.releases import Versions

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.lifecycle.plan import UpPlan


def up(
    project: Project,
    *,
    choice: Choice,
    versions: Versions | None,
    request: UpRequest,
    timeout: float,
    observer: Observer,
) -> Up:
    """Bring the stack up and wait until every service is ready.

    `versions` defaults to the setting. `timeout` is the deadline for readiness in seconds. Raises StackctlError if
    preflight checks fail, an image cannot be obtained or Compose fails, and NotReady if a service is not ready in time.
    """
    with exclusive(project.state, "up") as hold:
        unfinished_restore.refuse(project.state)
        if hold.down_cut_off:
            from stackctl.lifecycle import down

            down.finish(project, observer)
            hold.settle()
        asked = Asked(request, choice, versions)
        engine = project.engine()
        if known := settled.recall(project, asked, engine):
            return _repeat(known, project, engine, timeout=timeout, observer=observer)
        from stackctl.lifecycle.apply import apply
        from stackctl.lifecycle.plan import gather, plan_up

        plan = plan_up(gather(project, request, choice, versions, step=observer.step))
        _tell_doubts(project, observer)
        earlier = project.choices.releases
        newer = [one for one in plan.current_images if earlier[one] == "plan"]
        if newer:
            observer.note(
                f"moving from the plan's release to the current one: {', '.join(sorted(newer))}"
            )
        done = apply(plan, project, timeout=timeout, observer=observer)
        settled.record(project, asked, project.engine(), done.resolved, done.rendering)
        return done


def dry_run(
    project: Project,
    *,
    choice: Choice,
    versions: Versions | None,
    request: UpRequest,
    step: Callable[[str], None],
) -> UpPlan:
    """Return what `up` would do without changing anything. Raises StackctlError if `up` would refuse to start."""
    from stackctl.lifecycle.plan import gather, plan_up

    refuse_unwritable(project.state)
    unfinished_restore.refuse(project.state)
    standing = process_lock.standing(project.state)
    if standing.holder is not None:
        raise process_lock.busy(standing.holder)
    facts = gather(
        project,
        request,
        choice,
        versions,
        step=step,
        rehearsed=True,
        down_cut_off=standing.down_cut_off,
    )
    return plan_up(facts)


def _repeat(
    known: Settled, project: Project, engine: Engine, *, timeout: float, observer: Observer
) -> Up:
    """Check that an unchanged stack is ready. Raises StackctlError as `up` does."""
    _tell_doubts(project, observer)
    ready = wait_for_readiness(project, engine, known.containers, timeout, observer)
    set_grafana_password(project, engine, known.containers, observer)
    return Up(
        known.resolved, known.rendering, ready, changed=(), left_out=(), missing=(), unseen=None
    )


def _tell_doubts(project: Project, observer: Observer) -> None:
    for doubt, remedy in project.settings.doubts():
        observer.note(f"{doubt}; {remedy}")
