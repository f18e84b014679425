"""The command line without Docker: help, and bad input as one line with the remedy and the right exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stackctl.cli import cli, main
from stackctl.commands import COMMANDS
from tests.support.cli import run_here, stackctl

pytestmark = pytest.mark.usefixtures("own_folders")


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("stackctl: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    "command",
    [
        *([name] for name in COMMANDS),
        ["chaos", "stop"],
        ["chaos", "fill"],
        ["alerts", "preview"],
        ["alerts", "drill"],
        *(["images", name] for name in ("list", "build", "pull", "save", "load", "lock")),
    ],
)
def test_every_command_has_help_that_ends_with_examples(command: list[str]) -> None:
    done = CliRunner().invoke(cli, [*command, "--help"])
    assert done.exit_code == 0
    head, _, examples = done.output.partition("Examples:")
    assert f"stackctl {command[0]}" in examples
    assert "Usage: " in head


@pytest.mark.thorough
def test_help_lists_every_command_without_loading_any() -> None:
    script = (
        "import sys; from stackctl.cli import cli\n"
        "try: cli(['--help'], standalone_mode=False)\n"
        "finally: print(sorted({'httpx', 'rich', 'pydantic', 'python_on_whales'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.thorough
@pytest.mark.parametrize("words", [["config", "LOKI_PORT"], ["logs", "rust-core"], ["init"]])
def test_a_run_in_this_process_is_as_one_in_its_own(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "stackctl.override.yml").touch()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    own, here = (
        stackctl(*words, env={"LOKI_PORT": "4100"}),
        run_here(*words, env={"LOKI_PORT": "4100"}),
    )
    assert (here.returncode, here.stdout, here.stderr) == (own.returncode, own.stdout, own.stderr)
    assert here.stdout or here.stderr
    assert "LOKI_PORT" not in os.environ
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["verfy"], "stackctl has no command 'verfy'; did you mean verify?"),
        (["chaos", "stp", "loki"], "stackctl chaos has no command 'stp'; did you mean stop?"),
        (["chaos", "fill", "dsk"], "stackctl chaos fill has no command 'dsk'; did you mean disk?"),
        (["up", "--atach", "x"], "stackctl up has no option --atach; did you mean --attach?"),
        (["up", "--no-dmo"], "stackctl up has no option --no-dmo; did you mean --no-demo?"),
        (
            ["--project-nam", "x", "up"],
            "stackctl has no option --project-nam; did you mean --project-name?",
        ),
        (["urls", "-x"], "stackctl urls has no option -x; known: --format, --help"),
        (
            ["up", "--images", "lokal"],
            "invalid value for '--images': 'lokal' is not one of 'auto', 'upstream', 'local';"
            " see `stackctl up --help`",
        ),
        (
            ["chaos", "stop"],
            "missing argument 'SERVICE'; see `stackctl chaos stop --help`",
        ),
        (
            ["up", "extra"],
            "got unexpected extra argument (extra); see `stackctl up --help`",
        ),
        (
            ["up", "--attach"],
            "option '--attach' requires an argument; see `stackctl --help`",
        ),
    ],
)
def test_a_wrong_call_is_one_line_with_the_nearest_name(words: list[str], line: str) -> None:
    done = run_here(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"stackctl: {line}\n"


def test_a_group_without_a_command_shows_its_help() -> None:
    done = run_here("chaos")
    assert done.returncode == 2
    assert "Usage: stackctl chaos" in done.stderr
    assert "Examples:" in done.stderr


@pytest.mark.thorough
def test_a_stream_that_has_no_such_signs_gets_letters() -> None:
    done = stackctl("doctor", env={"PATH": "/nonexistent", "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (1, "")
    assert "-> install Docker Engine" in done.stdout


@pytest.mark.thorough
def test_what_an_encoding_has_not_does_not_stop_a_command() -> None:
    done = stackctl("alerts", "route", "--help", env={"PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "LABEL=VALUE?" in done.stdout


def test_an_unknown_service_names_the_nearest() -> None:
    line = one_line(run_here("logs", "rust-core"), 2)
    assert line == "stackctl: there is no service 'rust-core'; did you mean rust-core-engine?"


def test_an_unknown_check_names_the_nearest() -> None:
    assert "did you mean grafana?" in one_line(run_here("verify", "grafan"), 2)


def test_a_broken_line_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROMETHEUS_PORT=9090\nbroken line\n")
    assert one_line(run_here("urls"), 2) == (
        "stackctl: .env:2 is not NAME=value; correct that line, or put # before it"
    )


def test_a_bad_duration() -> None:
    done = run_here("chaos", "stop", "loki", "--for", "soon")
    assert done.returncode == 2
    assert "90s or 1h30m" in done.stderr


def test_without_the_docker_command() -> None:
    line = one_line(run_here("up", env={"PATH": "/nonexistent"}), 1)
    assert line.startswith("stackctl: the docker command is not installed; install Docker Engine")


@pytest.mark.docker
@pytest.mark.parametrize("command", ["up", "verify"])
def test_without_a_daemon(command: str, tmp_path: Path) -> None:
    line = one_line(run_here(command, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}), 1)
    assert line.startswith("stackctl: the Docker daemon is not running; start Docker")


def test_doctor_without_the_docker_command_is_a_finding_and_exit_1() -> None:
    done = run_here("doctor", "--format", "json", env={"PATH": "/nonexistent"})
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)
    assert finding["level"] == "failure"
    assert finding["remedy"]


def test_an_unhealed_fault_is_told_by_any_command(state_dir: Path) -> None:
    folder = state_dir / "bot-core"
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    fault = {
        "kind": "stop",
        "service": "loki",
        "container": "x",
        "since": "2026-01-01T00:00:00+00:00",
        "pid": dead.pid,
    }
    (folder / "chaos.json").write_text(json.dumps({"faults": [fault]}))
    done = run_here("urls")
    assert done.returncode == 0
    assert "an abandoned fault is open: stop of loki" in done.stderr
    assert "stackctl chaos heal" in done.stderr


def test_urls_say_where_the_password_is_and_not_what_it_is() -> None:
    done = run_here("urls", env={"GRAFANA_PASSWORD": "marked-secret"})
    assert "http://127.0.0.1:3001" in done.stdout
    assert "GRAFANA_PASSWORD (environment)" in done.stdout
    assert "marked-secret" not in done.stdout + done.stderr


def test_render_prints_the_folder_that_has_compose_env(state_dir: Path) -> None:
    done = run_here("-p", "other", "render")
    assert done.returncode == 0
    assert done.stdout.strip() == str(state_dir / "other")
    assert (state_dir / "other" / "compose.env").is_file()


@pytest.mark.thorough
def test_a_reader_that_leaves_is_no_traceback() -> None:
    done = subprocess.run(  # noqa: S602 - a pipe is the point
        f"{sys.executable} -m stackctl urls | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_bug_is_one_line_that_says_how_to_report_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("stackctl.cli.cli", broken)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "stackctl: internal error: RuntimeError: two lines;"
        " please report this bug with the output of STACKCTL_DEBUG=1\n"
    )


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "xx_YY.ISO-8859-1", "TERM": "dumb", "TZ": "No/Where", "COLUMNS": "0"},
    ],
    ids=lambda environ: "+".join(environ),
)
def test_help_is_the_same_whatever_python_is_told(environ: dict[str, str]) -> None:
    done = stackctl("up", "--help", env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    summary = "Start the stack"
    assert summary in done.stdout


_INTERRUPTED = """
import click, sys
from stackctl import cli
from stackctl.commands import COMMANDS

@click.command()
def wait():
    sys.stdin.read()
    raise KeyboardInterrupt

COMMANDS["wait"] = ("__main__:wait", "")
sys.argv = ["stackctl", "wait"]
cli.main()
"""


def test_an_interruption_has_its_exit_code_where_nobody_reads_what_it_says() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr
        process.stderr.close()
        assert process.stdin
        process.stdin.close()
        assert process.wait(60) == 130
