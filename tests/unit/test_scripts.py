"""The scripts that set a bare machine up: what they install and say, on machines that are made of a few files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MIRROR = "http://mirror.example/debian"
UPSTREAM = "prom/prometheus:v2.48.0"

_REAL = (
    *(
        "awk",
        "basename",
        "bash",
        "cat",
        "dirname",
        "env",
        "flock",
        "head",
        "mktemp",
        "nohup",
        "rm",
        "sed",
        "seq",
    ),
    *("setsid", "sh", "sleep", "sort", "tail", "timeout", "touch", "chmod", "grep"),
)
_DOCKER = """#!/bin/sh
case "$*" in
  info) [ -e "$STATE/engine" ] ;;
  "compose version --short") cat "$STATE/compose" ;;
  "image inspect "*) grep -qx "$3" "$STATE/images" ;;
  "pull --quiet "*) echo "$3" >> "$STATE/pulls"; [ -e "$STATE/registry" ] ;;
esac
"""
_APT_GET = """#!/bin/sh
case "$1" in
  indextargets) cat "$STATE/mirror"; exit ;;
  update) exit 0 ;;
esac
[ -e "$STATE/apt-fails" ] && { echo "E: Unable to fetch"; exit 100; }
for word in "$@"; do
  case "$word" in
    -*|install) ;;
    *) echo "$word" >> "$STATE/installed" ;;
  esac
  case "$word" in
    docker.io/*) printf '#!/bin/sh\\ntouch "$STATE/engine"\\n' > "$BIN/dockerd"; chmod +x "$BIN/dockerd" ;;
    mmdebstrap) printf '#!/bin/sh\\n' > "$BIN/mmdebstrap"; chmod +x "$BIN/mmdebstrap" ;;
    docker-cli/*) chmod +x "$BIN/docker" ;;
    docker-compose/*) echo 2.26.1 > "$STATE/compose" ;;
  esac
done
"""


class Machine:
    """A machine: its PATH has real tools, and a docker and an apt-get that go by the files of `state`."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.state, self.root = folder / "bin", folder / "state", folder / "root"
        for path in (self.bin, self.state, self.root / "var/log"):
            path.mkdir(parents=True)
        for name in ("sources.list.d", "preferences.d"):
            (self.root / "etc/apt" / name).mkdir(parents=True)
        for name in _REAL:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        self.program("docker", _DOCKER)
        self.program("apt-get", _APT_GET)
        self.user(0)
        self.release("debian", "bookworm")
        (self.state / "mirror").write_text(f"{MIRROR}-security main\n{MIRROR} main\n")
        (self.state / "images").touch()

    def program(self, name: str, text: str = "#!/bin/sh\n") -> None:
        """Put a program on PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def user(self, number: int) -> None:
        """Say who calls the scripts."""
        self.program("id", f"#!/bin/sh\necho {number}\n")

    def release(self, name: str, codename: str) -> None:
        """Say which distribution it is."""
        (self.root / "etc/os-release").write_text(f'ID={name}\nVERSION_CODENAME="{codename}"\n')

    def has(self, *names: str, compose: str = "2.26.1") -> Machine:
        """Return it an engine with Compose, and files of `state`."""
        (self.state / "engine").touch()
        (self.state / "compose").write_text(f"{compose}\n")
        for name in names:
            (self.state / name).touch()
        return self

    def run(self, script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts here."""
        return subprocess.run(
            [SCRIPTS / f"{script}.sh", *arguments],
            env={
                "PATH": str(self.bin),
                "SYSROOT": str(self.root),
                "STATE": str(self.state),
                "BIN": str(self.bin),
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installed(self) -> list[str]:
        """The packages that were installed."""
        file = self.state / "installed"
        return file.read_text().split() if file.exists() else []

    @property
    def added(self) -> list[str]:
        """The files that were added to apt's settings."""
        return sorted(path.name for path in (self.root / "etc/apt").rglob("*") if path.is_file())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def bare(machine: Machine) -> Machine:
    (machine.bin / "docker").chmod(0o644)
    return machine


def test_a_bare_debian_of_root_gets_everything(machine: Machine) -> None:
    done = bare(machine).run("ensure-docker")
    assert done.returncode == 0, done.stderr
    engine = ["docker.io/trixie", "docker-cli/trixie", "iptables", "docker-compose/trixie"]
    assert machine.installed == [*engine, "mmdebstrap"]
    assert machine.added == ["stackctl-engine", "stackctl-engine.sources"]
    source = (machine.root / "etc/apt/sources.list.d/stackctl-engine.sources").read_text()
    assert f"URIs: {MIRROR}\nSuites: trixie\n" in source
    assert (machine.state / "engine").exists()


def test_a_bare_machine_that_builds_the_local_set_asks_apt_once(machine: Machine) -> None:
    done = bare(machine).run("ensure-docker", "--local-set")
    assert done.returncode == 0, done.stderr
    assert machine.installed[-1] == "mmdebstrap"
    assert done.stderr.count("installing") == 1


def test_where_all_is_there_nothing_is_changed(machine: Machine) -> None:
    machine.program("mmdebstrap")
    done = machine.has().run("ensure-docker", "--local-set")
    assert (done.returncode, done.stderr) == (0, "")
    assert (machine.installed, machine.added) == ([], [])


@pytest.mark.parametrize("release", [("debian", "bookworm"), ("ubuntu", "noble")])
def test_mmdebstrap_alone_is_missing_and_needs_no_other_suite(
    machine: Machine, release: tuple[str, str]
) -> None:
    machine.release(*release)
    (machine.state / "mirror").write_text("")
    done = machine.has().run("ensure-docker")
    assert done.returncode == 0, done.stderr
    assert (machine.installed, machine.added) == (["mmdebstrap"], [])
    assert (machine.state / "pulls").read_text() == f"{UPSTREAM}\n"


def test_where_a_registry_answers_no_local_set_is_prepared_unless_it_is_asked_for(
    machine: Machine,
) -> None:
    machine.has("registry")
    assert machine.run("ensure-docker").returncode == 0
    assert machine.installed == []
    assert machine.run("ensure-docker", "--local-set").returncode == 0
    assert machine.installed == ["mmdebstrap"]


@pytest.mark.parametrize("image", [UPSTREAM, "stackctl/base:local"])
def test_where_the_images_are_here_nothing_is_asked_or_installed(
    machine: Machine, image: str
) -> None:
    (machine.state / "images").write_text(f"{image}\n")
    assert machine.has().run("ensure-docker").returncode == 0
    assert machine.installed == []
    assert not (machine.state / "pulls").exists()


def test_an_old_compose_is_replaced(machine: Machine) -> None:
    machine.program("mmdebstrap")
    assert machine.has(compose="2.6.0").run("ensure-docker").returncode == 0
    assert machine.installed == ["docker-compose/trixie"]


def test_whoever_is_not_root_is_told_what_to_install(machine: Machine) -> None:
    machine.user(1000)
    done = bare(machine).run("ensure-docker")
    assert done.returncode == 1
    assert done.stderr.startswith("ensure-docker: no Docker Engine answers: install Docker Engine")
    (machine.bin / "docker").chmod(0o755)
    done = machine.has(compose="2.6.0").run("ensure-docker")
    assert done.returncode == 1
    assert done.stderr.startswith("ensure-docker: Docker Compose 2.20 or newer is missing")
    # What is only missing perhaps, stackctl says once it comes to that.
    assert machine.has().run("ensure-docker").returncode == 0
    assert (machine.installed, machine.added) == ([], [])


def test_another_distributions_engine_is_its_owners_choice(machine: Machine) -> None:
    machine.release("ubuntu", "noble")
    done = bare(machine).run("ensure-docker")
    assert done.returncode == 1
    assert "no Docker Engine answers" in done.stderr
    assert (machine.installed, machine.added) == ([], [])


def test_without_a_mirror_one_sees_why(machine: Machine) -> None:
    (machine.state / "mirror").write_text("")
    done = bare(machine).run("ensure-docker")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "ensure-docker: apt names no Debian mirror: install Docker Engine 25+ and Compose 2.20+ by hand"
    ]


def test_what_apt_says_is_shown_where_it_fails(machine: Machine) -> None:
    (machine.state / "apt-fails").touch()
    done = bare(machine).run("ensure-docker")
    assert done.returncode == 1
    _, said, told = done.stderr.splitlines()
    assert said == "E: Unable to fetch"
    assert told.startswith("ensure-docker: installing docker.io/trixie docker-cli/trixie")
    log = told.rpartition("full log: ")[2].rstrip(")")
    assert Path(log).read_text() == "E: Unable to fetch\n"
    Path(log).unlink()


def python(machine: Machine, *, recent: bool = True, venv: bool = True) -> None:
    """Put a python3 on PATH that says this of itself."""
    machine.program(
        "python3",
        f"""#!/bin/sh
case "$*" in
  --version) echo "Python 3.9.2" ;;
  *version_info*3,*) exit {int(not recent)} ;;
  *ensurepip*) exit {int(not venv)} ;;
  *) echo python3.11-venv ;;
esac
""",
    )


def test_a_good_python_needs_nothing(machine: Machine) -> None:
    python(machine)
    done = machine.run("ensure-python")
    assert (done.returncode, done.stderr, machine.installed) == (0, "", [])


def test_the_venv_module_is_installed_by_root_and_named_to_others(machine: Machine) -> None:
    python(machine, venv=False)
    assert machine.run("ensure-python").returncode == 0
    assert machine.installed == ["python3.11-venv"]
    machine.user(1000)
    done = machine.run("ensure-python")
    assert (done.returncode, done.stderr) == (
        1,
        "ensure-python: python3 has no venv module: install the package python3.11-venv, then run this again\n",
    )


@pytest.mark.parametrize(
    ("name", "says"), [("python3", "Python 3.9.2 is too old"), ("nosuch", "nosuch not found")]
)
def test_a_python_that_will_not_do_is_one_line(machine: Machine, name: str, says: str) -> None:
    python(machine, recent=False)
    done = machine.run("ensure-python", name)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ensure-python: {says}: install Python 3.11 or newer, or name one")


def test_this_python_will_do(machine: Machine) -> None:
    (machine.bin / "python3").symlink_to(sys.executable)
    assert machine.run("ensure-python").returncode == 0


def test_the_tests_tools_are_installed_by_root(machine: Machine) -> None:
    machine.program("zsh")
    machine.program("registry")
    assert machine.run("ensure-test-tools", "zsh", "fish", "docker-registry").returncode == 0
    assert machine.installed == ["fish"]


@pytest.mark.parametrize("root", [True, False])
def test_a_tool_that_cannot_be_had_fails_ci_and_nobody_else(machine: Machine, root: bool) -> None:
    machine.user(0 if root else 1000)
    (machine.state / "apt-fails").touch()
    for ci, code in (("", 0), ("true", 1)):
        done = machine.run("ensure-test-tools", "fish", CI=ci, TMPDIR=str(machine.root))
        assert done.returncode == code
        assert done.stderr.endswith(
            "ensure-test-tools: fish not installed: tests that need it are skipped\n"
        )


def test_a_debian_that_has_the_engines_suite_already_gets_no_other(machine: Machine) -> None:
    machine.release("debian", "trixie")
    assert bare(machine).run("ensure-docker").returncode == 0
    assert "docker.io/trixie" in machine.installed
    assert machine.added == []


@pytest.mark.parametrize(
    ("user", "release", "mirror", "why"),
    [
        (1000, "debian", MIRROR, "needs root"),
        (0, "ubuntu", MIRROR, "needs Debian"),
        (0, "debian", "", "apt names no Debian mirror"),
        (0, "debian", MIRROR, "apt-get download failed (see above)"),
    ],
)
def test_where_no_newer_engine_can_be_had_its_tests_are_skipped_and_fail_in_ci(
    machine: Machine, tmp_path: Path, user: int, release: str, mirror: str, why: str
) -> None:
    machine.user(user)
    machine.release(release, "any")
    (machine.state / "mirror").write_text(f"{mirror} main\n" if mirror else "")
    (machine.state / "apt-fails").touch()
    machine.program("ip")
    for name in ("mkdir", "dpkg"):
        (machine.bin / name).symlink_to(shutil.which(name) or name)
    # Its own options come before the word that says what to do.
    drop_options = (
        'while [ "${1#-}" != "$1" ]; do [ "$1" = -o ] && shift; shift; done\ncase "$1" in'
    )
    machine.program("apt-get", _APT_GET.replace('case "$1" in', drop_options))
    for ci, code in (("", 0), ("true", 1)):
        done = machine.run(
            *("newer-engine", "touch", str(tmp_path / "ran")),
            CI=ci,
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )
        assert done.returncode == code, done.stderr
        said = f"newer-engine: NO NEWER ENGINE ({why}): its tests are skipped"
        assert done.stderr.splitlines()[-1] == said
        assert not (tmp_path / "ran").exists()
    assert machine.installed == []
