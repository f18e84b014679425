"""`stackctl completion`."""

from __future__ import annotations

import click


@click.command(
    epilog="\b\nExamples:\n"
    "  source <(stackctl completion bash)                            # in ~/.bashrc\n"
    "  source <(stackctl completion zsh)                             # in ~/.zshrc, after compinit\n"
    "  stackctl completion fish > ~/.config/fish/completions/stackctl.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete stackctl's commands, options and arguments."""
    from click.shell_completion import get_completion_class

    from stackctl.commands import COMPLETE_VARIABLE

    found = get_completion_class(shell)
    if found is None:
        raise LookupError(f"click does not support completion in {shell}")
    click.echo(found(ctx.find_root().command, {}, "stackctl", COMPLETE_VARIABLE).source())
