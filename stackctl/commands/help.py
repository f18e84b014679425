"""`stackctl help`."""

from __future__ import annotations

import click

from stackctl.commands import complete
from stackctl.commands.session import Session, pass_session
from stackctl.errors import UsageError
from stackctl.ui.console import print_markdown
from stackctl.util.suggest import nearest


@click.command(
    "help",
    epilog="\b\nExamples:\n  stackctl help\n  stackctl help settings\n  stackctl help chaos stop",
)
@click.argument("words", nargs=-1, metavar="[TOPIC|COMMAND]...", shell_complete=complete.topics)
@pass_session
@click.pass_context
def help_(ctx: click.Context, session: Session, words: tuple[str, ...]) -> None:
    """Show help for a topic or a command, or list the topics.

    If a topic and a command have the same name, both are shown.
    """
    from stackctl import topics
    from stackctl.commands import COMMANDS

    if not words:
        click.echo(ctx.find_root().get_help())
        click.echo()
        width = max(map(len, topics.names()))
        click.echo("Topics (stackctl help TOPIC):")
        for name in topics.names():
            click.echo(f"  {name:{width}}  {topics.title(name)}")
        return
    is_topic = len(words) == 1 and words[0] in topics.names()
    if words[0] in COMMANDS:
        click.echo(_help(ctx.find_root(), words))
        if is_topic:
            click.echo()
    elif not is_topic:
        what = " ".join(words)
        raise UsageError(
            f"unknown topic or command {what!r}",
            remedy=nearest(what, list({*topics.names(), *COMMANDS})),
        )
    if is_topic:
        print_markdown(session.out, topics.text(words[0]))


def _help(root: click.Context, words: tuple[str, ...]) -> str:
    """Return the text that a subcommand's --help prints. Raises UsageError if there is no such command."""
    ctx = root
    for word in words:
        group = ctx.command
        command = group.get_command(ctx, word) if isinstance(group, click.Group) else None
        if command is None:
            known = group.list_commands(ctx) if isinstance(group, click.Group) else []
            raise UsageError(
                f"{ctx.command_path} has no command {word!r}",
                remedy=nearest(word, known) if known else f"{ctx.command_path} --help",
            )
        ctx = click.Context(command, info_name=word, parent=ctx)
    return ctx.get_help()
