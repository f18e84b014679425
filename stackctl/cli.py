"""The command group. A command's module is imported only when it is needed, so that `--help` stays fast."""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from stackctl import __version__
from stackctl.commands import COMMANDS, COMPLETE_VARIABLE
from stackctl.errors import EXIT_INTERRUPTED, StackctlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group that imports a command's module only to run the command or show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the table's order, which is that of typical use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if the name is unknown."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Return completions from the table, and the options: click's implementation would import every command."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n  stackctl up\n  stackctl verify\n"
    "  stackctl chaos stop rust-core-engine --expect ServiceDown\n  stackctl down",
)
@click.version_option(__version__, prog_name="stackctl")
@click.option(
    "-p", "--project-name", "project", metavar="NAME", help="Compose project (default: bot-core)."
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings file (default: .env in the current folder, if it exists).",
)
@click.pass_context
def cli(ctx: click.Context, project: str | None, env_file: Path | None) -> None:
    """Run bot-core's monitoring stack with Docker Compose, and verify that it works."""
    from stackctl.commands.session import Session
    from stackctl.util import environment

    ctx.with_resource(environment.restricted())
    ctx.obj = Session(project, env_file)


def main() -> None:
    """Run the command line. Errors that users can act on are printed as one line each, and determine the exit code."""
    _keep_docstrings()
    # httpx does without its own command line where it cannot be imported. It would bring a third of all modules.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    signal.signal(signal.SIGTERM, _interrupt)
    # Under nohup it is ignored and stays ignored.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        # A log line may contain characters that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if COMPLETE_VARIABLE in os.environ and not os.environ.get("STACKCTL_DEBUG"):
        # A message would appear in the line that the user is typing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    try:
        # In this mode click returns the exit code of `ctx.exit`.
        code = cli(standalone_mode=False, complete_var=COMPLETE_VARIABLE)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _print_error(_usage_error(error))
        sys.exit(error.exit_code)
    except StackctlError as error:
        _print_error(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        # If the terminal was closed, there is nothing left to write to.
        with contextlib.suppress(OSError):
            print("stackctl: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            # click ends the line on stderr after Ctrl-C, which fails if the terminal was closed.
            sys.exit(EXIT_INTERRUPTED)
        if isinstance(error, BrokenPipeError):
            # The reader, such as `head`, has exited: do not write to it at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if os.environ.get("STACKCTL_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        remedy = "; free some space" if error.errno == errno.ENOSPC else ""
        print(f"stackctl: {where}{error.strerror or error}{remedy}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if os.environ.get("STACKCTL_DEBUG"):
            raise
        print(
            f"stackctl: internal error: {type(error).__name__}: {' '.join(str(error).split())[:300]};"
            " please report this bug with the output of STACKCTL_DEBUG=1",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _keep_docstrings() -> None:
    """Restart without PYTHONOPTIMIZE=2, which strips the docstrings that the commands' help is made of."""
    if sys.flags.optimize > 1 and "PYTHONOPTIMIZE" in os.environ:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONOPTIMIZE"}
        os.execve(sys.executable, sys.orig_argv, environ)  # noqa: S606 - restarts this program


def _print_error(error: StackctlError) -> None:
    for line in error.lines:
        print(f"stackctl: {line}", file=sys.stderr)


def _usage_error(error: click.ClickException) -> StackctlError:
    """Convert an error of click: one line, with the closest known name or a hint at --help."""
    from stackctl.util.suggest import nearest

    message = error.format_message().rstrip(".")
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    path = ctx.command_path if ctx else "stackctl"
    remedy = f"see `{path} --help`"
    match error:
        case click.exceptions.NoSuchCommand() if ctx and isinstance(ctx.command, click.Group):
            message = f"{path} has no command {error.command_name!r}"
            remedy = nearest(error.command_name, ctx.command.list_commands(ctx))
        case click.NoSuchOption() if ctx:
            options = [one for one in ctx.command.get_params(ctx) if isinstance(one, click.Option)]
            names = [name for one in options for name in (*one.opts, *one.secondary_opts)]
            message = f"{path} has no option {error.option_name}"
            remedy = nearest(error.option_name, [name for name in names if name.startswith("--")])
    return StackctlError(f"{message[:1].lower()}{message[1:]}", remedy=remedy)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM and a closed terminal like Ctrl-C, so that asyncio cancels its tasks and faults are undone."""
    # Shells start background jobs with SIGINT ignored; SIGTERM and SIGHUP must end those too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
