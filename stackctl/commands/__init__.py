"""One module a command: it reads options, calls the packages beside this one, and prints."""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("stackctl.commands.init:init", "Write a .env and an override file to begin with."),
    "up": ("stackctl.commands.up:up", "Bring the stack up and wait until every service is ready."),
    "down": ("stackctl.commands.down:down", "Stop the stack; --volumes removes its data too."),
    "status": (
        "stackctl.commands.status:status",
        "Show every service: state, uptime, use, address.",
    ),
    "verify": ("stackctl.commands.verify:verify", "Prove that it works: the plan's checklist."),
    "chaos": ("stackctl.commands.chaos:chaos", "Break a service on purpose and heal it."),
    "load": ("stackctl.commands.load:load", "Put load on a service and measure its answers."),
    "logs": ("stackctl.commands.logs:logs", "Show logs, from Docker or from Loki."),
    "open": ("stackctl.commands.open:open_", "Open a service's page in the browser."),
    "urls": ("stackctl.commands.urls:urls", "Show the addresses, and how to log in."),
    "config": (
        "stackctl.commands.config:config",
        "Show the settings in force, and where each comes from.",
    ),
    "doctor": ("stackctl.commands.doctor:doctor", "Look at what the stack needs of this machine."),
    "images": ("stackctl.commands.images:images", "List, build, pull, carry and lock the images."),
    "backup": ("stackctl.commands.backup:backup", "Write the stack's data to one file."),
    "restore": ("stackctl.commands.restore:restore", "Put the data of a backup back."),
    "snapshot": (
        "stackctl.commands.snapshot:snapshot",
        "Write a dashboard with its data as one HTML file.",
    ),
    "alerts": (
        "stackctl.commands.alerts:alerts",
        "Show active alerts, rules, routing, silences.",
    ),
    "runbook": ("stackctl.commands.runbook:runbook", "Show what to do about an alert."),
    "reload": (
        "stackctl.commands.reload:reload",
        "Have the programs read a changed configuration.",
    ),
    "render": (
        "stackctl.commands.render:render",
        "Write the configuration without starting anything.",
    ),
    "completion": (
        "stackctl.commands.completion:completion",
        "Print the script that completes commands in a shell.",
    ),
    "help": ("stackctl.commands.help:help_", "Explain a command or a topic."),
}
"""Command → where it is, and its line in `--help`."""

COMPLETE_VARIABLE = "_STACKCTL_COMPLETE"
"""Set by the completion script: what the shell wants to know, by click's convention."""
