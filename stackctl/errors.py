"""The errors that a user can act on. `cli.main` prints each as one line and exits with its code.

Class, exit code and module of all of them:

    StackctlError               1  errors
    ├── BadBackup               1  backup.archive
    ├── BadBundle               1  images.bundle
    ├── DrillError              1  chaos.drill
    ├── EngineError             1  errors
    │   ├── NoContainerError    1  docker.errors
    │   ├── NoImageError        1  docker.errors
    │   └── NoNetworkError      1  docker.errors
    ├── NotReady                1  readiness.wait
    ├── NotRunning              3  errors
    ├── NotSettled              4  errors
    ├── NotSteady               1  chaos.journal
    ├── ServiceError            1  errors
    ├── SeveralErrors           1  errors
    └── UsageError              2  errors

Other exception classes of the package are private to their module and do not leave it. An OSError is printed like
these, with exit code 1; a signal ends stackctl with `EXIT_INTERRUPTED`; any other exception is reported
as a bug.
"""

from __future__ import annotations

from collections.abc import Sequence

from stackctl.util.redaction import redacted

EXIT_INTERRUPTED = 130
"""The status that a shell reports for a program that SIGINT ended: 128 plus the signal's number."""
EXIT_NOT_RUNNING = 3
"""The stack, or a service that the command needs, is not running: there is nothing to judge."""
EXIT_NOT_SETTLED = 4
"""The stack is still starting, or another command is changing it: the answer may be another one soon."""
EXIT_TOO_YOUNG = 5
"""The stack works as far as can be told, but has not run for long enough to tell the rest."""


class StackctlError(Exception):
    """Something the user can act on, printed as one line without a traceback.

    `message` says what is wrong, `remedy` what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    @property
    def line(self) -> str:
        """The message and, where there is one, its remedy."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    @property
    def lines(self) -> list[str]:
        """A line for each thing that is wrong."""
        return [self.line]


class SeveralErrors(StackctlError):
    """More than one thing that the user can act on; there must be one at least."""

    def __init__(self, errors: Sequence[StackctlError]) -> None:
        super().__init__(errors[0].message, remedy=errors[0].remedy)
        self.errors = errors

    @property
    def lines(self) -> list[str]:
        """A line for each thing that is wrong."""
        return [line for error in self.errors for line in error.lines]


class UsageError(StackctlError):
    """A wrong option, argument or setting: exit code 2, as `docker compose` does."""

    exit_code = 2


class NotRunning(StackctlError):
    """The stack, or a service that the command needs, is not running."""

    exit_code = EXIT_NOT_RUNNING


class NotSettled(StackctlError):
    """Another command is changing the stack, or it is still starting: ask again later."""

    exit_code = EXIT_NOT_SETTLED


class EngineError(StackctlError):
    """The Docker Engine or Compose is missing, too old, not running, or refused an operation.

    It often says what the engine said, which may repeat what it was given: known secrets are taken out of it. `refused`
    is whether the engine certainly did not begin to run what it was asked to.
    """

    def __init__(self, message: str, *, remedy: str | None = None, refused: bool = False) -> None:
        super().__init__(redacted(message), remedy=redacted(remedy) if remedy else None)
        self.refused = refused


class ServiceError(StackctlError):
    """A service of the stack answered wrongly or not at all; `status` is the HTTP status where it gave one."""

    def __init__(
        self,
        message: str,
        *,
        service: str,
        url: str | None = None,
        status: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.service = service
        self.url = url
        self.status = status
