"""One module per command, which parses options, calls the other packages and prints the result."""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("stackctl.commands.init:init", "Create a .env and an override file to edit."),
    "up": ("stackctl.commands.up:up", "Start the stack and wait until every service is ready."),
    "down": ("stackctl.commands.down:down", "Stop the stack and remove its containers."),
    "status": (
        "stackctl.commands.status:status",
        "Show the services' state, usage and addresses.",
    ),
    "verify": ("stackctl.commands.verify:verify", "Verify that the stack works."),
    "chaos": ("stackctl.commands.chaos:chaos", "Inject a fault into a service, then recover it."),
    "load": ("stackctl.commands.load:load", "Put load on a service and measure it."),
    "logs": ("stackctl.commands.logs:logs", "Show logs from Docker or Loki."),
    "open": ("stackctl.commands.open:open_", "Open a service's page in the browser."),
    "urls": ("stackctl.commands.urls:urls", "Show addresses and how to log in."),
    "config": (
        "stackctl.commands.config:config",
        "Show the settings and where they come from.",
    ),
    "doctor": ("stackctl.commands.doctor:doctor", "Check whether this machine can run the stack."),
    "images": ("stackctl.commands.images:images", "List, build, pull, lock and transfer images."),
    "backup": ("stackctl.commands.backup:backup", "Back up the stack's data to a file."),
    "restore": ("stackctl.commands.restore:restore", "Restore the stack's data from a backup."),
    "snapshot": (
        "stackctl.commands.snapshot:snapshot",
        "Save a dashboard with its data as an HTML file.",
    ),
    "alerts": (
        "stackctl.commands.alerts:alerts",
        "Show alerts, rules and routing; manage silences.",
    ),
    "runbook": ("stackctl.commands.runbook:runbook", "Show an alert's runbook."),
    "reload": (
        "stackctl.commands.reload:reload",
        "Reload a changed configuration.",
    ),
    "render": (
        "stackctl.commands.render:render",
        "Render the configuration without starting anything.",
    ),
    "completion": (
        "stackctl.commands.completion:completion",
        "Print a shell completion script.",
    ),
    "help": ("stackctl.commands.help:help_", "Show help for a command or a topic."),
}
"""Command → its module and attribute, and its line in `--help`."""

COMPLETE_VARIABLE = "_STACKCTL_COMPLETE"
"""The variable with which the completion script queries stackctl, by click's convention."""
