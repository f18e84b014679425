"""Carrying out the plan of an `up`, in named steps. What happens goes to an observer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stackctl import __version__
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState
from stackctl.errors import EngineError
from stackctl.images import lock as locked
from stackctl.images import resolve, sets
from stackctl.images.choice import Resolved
from stackctl.lifecycle import attach, demo_data, log_positions, reload, stored_data
from stackctl.lifecycle.attach import Missing
from stackctl.lifecycle.plan import UpPlan, data_moves, observe, plan_up
from stackctl.lifecycle.proof import Up, set_grafana_password, wait_for_readiness
from stackctl.project import config_volumes, container_metrics, engine_overrides
from stackctl.project.config_volumes import Copy
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.project import Project
from stackctl.project.running import addresses
from stackctl.readiness.observer import Observer
from stackctl.render import logs
from stackctl.render.configuration import render
from stackctl.render.rendering import Rendering
from stackctl.services import catalog
from stackctl.services.catalog import image_variable


def apply(plan: UpPlan, project: Project, *, timeout: float, observer: Observer) -> Up:
    """Carry out a plan, step by step. The caller holds the project's lock. Raises StackctlError as `up` does."""
    resolved = _obtain_images(plan, project, observer)
    plan = _settle_images(plan, project, resolved)
    plan = _settle_container_metrics(plan, project, resolved)
    rendering = _render_configuration(plan, project)
    engine = _record_state(plan, project)
    if plan.facts.images.pull or plan.facts.images.build:
        # Obtaining images may take minutes, so what the engine has may have changed.
        plan = plan_up(replace(plan.facts, engine=observe(engine)))
    _remove_leftovers(plan, engine, observer)
    copies = engine_overrides.adapt(
        engine, plan.facts.info, project.settings, project.state, plan.facts.metrics
    )
    _reset_volumes(plan, project, engine, observer)
    _replace_log_collector(plan, project, engine, observer)
    _start_containers(plan, project, engine, observer)
    _remove_stale_volumes(plan, engine, copies)
    containers = engine.containers()
    ready = wait_for_readiness(project, engine, containers, timeout, observer)
    set_grafana_password(project, engine, containers, observer)
    return Up(
        resolved,
        rendering,
        ready,
        _changed(plan, containers),
        plan.not_monitored,
        _missing(plan, project, observer),
        plan.state.unseen,
    )


def _obtain_images(plan: UpPlan, project: Project, observer: Observer) -> Resolved:
    resolved = resolve.obtain(
        project.engine(plan.state),
        project.settings,
        plan.facts.images,
        demo=plan.state.demo,
        progress=observer.step,
        lock=locked.read(),
    )
    if resolved.reason:
        observer.note(resolved.reason)
    return resolved


def _settle_images(plan: UpPlan, project: Project, resolved: Resolved) -> UpPlan:
    """Plan again with the images that were obtained, which may differ from the chosen ones."""
    facts = plan.facts
    state = replace(facts.state, images=resolved.name, pins=resolved.pins)
    fell_back = resolved.name != facts.state.images
    moves = data_moves(project, state, facts.engine) if fell_back else facts.moves
    return plan_up(replace(facts, state=state, moves=moves))


def _settle_container_metrics(plan: UpPlan, project: Project, resolved: Resolved) -> UpPlan:
    """Decide on container metrics for the image set in use, and let a remote engine look for containerd's socket.

    For an engine on this machine, stackctl has already looked.
    """
    facts, state = plan.facts, plan.state
    engine = project.engine(state)
    metrics = project.container_metrics(engine, state)
    if metrics.socket is not None and not container_metrics.is_local(
        engine.endpoint, facts.info, sys.platform
    ):
        image = resolved.variables[image_variable("docker-socket-proxy")]
        if not engine.has_socket(metrics.socket, image):
            metrics = ContainerMetrics(obstacle="socket")
    state = replace(state, unseen=metrics.obstacle)
    monitored = project.present(state)
    return plan_up(replace(facts, state=state, metrics=metrics, monitored=monitored))


def _render_configuration(plan: UpPlan, project: Project) -> Rendering:
    logs.settle_tsdb(project.state, plan.state.releases["loki"])
    rendering = render(
        project.settings,
        project.secrets,
        project.state,
        images=sets.variables_of(project.settings, plan.state),
        releases=plan.state.releases,
        present=plan.facts.monitored,
    )
    attach.write_join_file(project.state, plan.state)
    return rendering


def _record_state(plan: UpPlan, project: Project) -> Engine:
    """Record the state that later commands rely on, before the first container starts; return an engine for it."""
    state = replace(plan.state, version=__version__, addresses=addresses(project.settings))
    engine = project.engine(state)
    state = replace(state, override_services=attach.override_services(engine, state))
    project.keep(replace(state, volumes=attach.created_volumes(engine, state)))
    return engine


def _remove_leftovers(plan: UpPlan, engine: Engine, observer: Observer) -> None:
    for leftover in plan.leftovers:
        engine.remove(leftover)
        observer.note(f"removed {leftover}, left over from an interrupted `up`")
    engine.remove_scratch(plan.facts.engine.inventory)


def _reset_volumes(plan: UpPlan, project: Project, engine: Engine, observer: Observer) -> None:
    for reset in plan.resets:
        demo_data.remove(engine, reset.service, reset.volume)
        observer.note(f"recreating {reset.volume}: {reset.reason}")
    for move in plan.upgrades:
        observer.note(
            f"upgrading {move.volume} from {move.before} to {move.after}"
            + ("; this cannot be undone" if move.step == "forward" else "")
        )
    if plan.state.demo:
        # Recorded last, so that an interrupted removal is repeated.
        demo_data.record_fingerprint(project.state, plan.facts.fingerprint)


def _replace_log_collector(
    plan: UpPlan, project: Project, engine: Engine, observer: Observer
) -> None:
    """Remove the log collector of the other releases, and let this one continue where it stopped.

    Compose keeps a container whose service is not in an active profile. Two collectors would send every line twice.
    """
    collector = catalog.log_collector(plan.state.releases)
    inventory = plan.facts.engine.inventory
    containers = engine.containers()
    for other in catalog.LOG_COLLECTORS:
        container = containers.get(other)
        if other == collector or container is None:
            continue
        observer.step(f"replacing {other} with {collector}")
        if container.status == "paused":
            engine.unpause(container.id)
        engine.stop(container.id)
        number = log_positions.hand_over(
            project.name, other, collector, inventory.containers, plan.facts.monitored
        )
        engine.remove(container.name)
        observer.note(f"{collector} continues {number} logs where {other} stopped")


def _start_containers(plan: UpPlan, project: Project, engine: Engine, observer: Observer) -> None:
    _explain_replacement(plan, project, engine, observer)
    observer.step("starting the containers")
    for one in engine.containers().values():
        # Compose fails on a paused container.
        if one.status == "paused" and not one.attached:
            engine.unpause(one.id)
    try:
        engine.up(pull=plan.state.images == "upstream" or bool(plan.state.app_files))
    finally:
        # Also when some could not be started: the others have opened their data.
        stored_data.record(
            project,
            plan.facts.services,
            {name: one.image for name, one in engine.containers().items() if not one.attached},
        )
    reload.note_started(project.state)


def _explain_replacement(
    plan: UpPlan, project: Project, engine: Engine, observer: Observer
) -> None:
    """Add a note if every container is replaced because Compose was updated."""
    update = plan.facts.compose_update
    if update is None:
        return
    configuration = attach.configuration(engine, project.choices)
    hashes = engine.configuration_hashes(configuration)
    if update.replaces(plan.facts.engine.inventory.services(), hashes):
        observer.note(str(update))


def _remove_stale_volumes(plan: UpPlan, engine: Engine, copies: Sequence[Copy]) -> None:
    """Remove configuration volumes that the last `up` filled and that no container mounts any longer."""
    if plan.removes_stale_volumes:
        config_volumes.remove(engine, but=copies)


def _changed(plan: UpPlan, containers: Mapping[str, ContainerState]) -> tuple[str, ...]:
    """Return the services whose containers were created or started."""
    inventory = plan.facts.engine.inventory
    stopped = {name for name, one in inventory.services().items() if not one.running}
    return tuple(
        name
        for name, one in containers.items()
        if not one.attached and (one.id not in inventory.own or name in stopped)
    )


def _missing(plan: UpPlan, project: Project, observer: Observer) -> tuple[Missing, ...]:
    """Check that bot-core is where the settings expect it; an engine error is only a note, because the stack is up."""
    if not plan.state.joined:
        return ()
    try:
        return attach.survey(project, plan.state).missing
    except EngineError as error:
        observer.note(f"could not check bot-core: {error.line}")
        return ()
