"""Errors that a user can act on. `cli.main` prints each of them as one line and exits with its code.

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

Other exception classes of the package are private to their module. An OSError is printed in the same way, with exit
code 1; a signal ends stackctl with `EXIT_INTERRUPTED`; any other exception is reported as a bug.
"""

from __future__ import annotations

from collections.abc import Sequence

from stackctl.util.redaction import redacted

EXIT_INTERRUPTED = 130
"""The status that shells report for a program ended by SIGINT: 128 plus the signal's number."""
EXIT_NOT_RUNNING = 3
"""The stack, or a service that the command needs, is not running."""
EXIT_NOT_SETTLED = 4
"""The stack is still starting, or another command is changing it: the result may soon be different."""
EXIT_TOO_YOUNG = 5
"""No check failed, but the stack has not run for long enough for all of them."""


class StackctlError(Exception):
    """An error that the user can act on, printed as one line without a traceback.

    `message` says what is wrong, `remedy` how to fix it.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    @property
    def line(self) -> str:
        """The message, with the remedy if there is one."""
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    @property
    def lines(self) -> list[str]:
        """A line for each error."""
        return [self.line]


class SeveralErrors(StackctlError):
    """Several errors that the user can act on; the list must not be empty."""

    def __init__(self, errors: Sequence[StackctlError]) -> None:
        super().__init__(errors[0].message, remedy=errors[0].remedy)
        self.errors = errors

    @property
    def lines(self) -> list[str]:
        """A line for each error."""
        return [line for error in self.errors for line in error.lines]


class UsageError(StackctlError):
    """A wrong option, argument or setting."""

    exit_code = 2


class NotRunning(StackctlError):
    """The stack, or a service that the command needs, is not running."""

    exit_code = EXIT_NOT_RUNNING


class NotSettled(StackctlError):
    """The stack is still starting, or another command is changing it: try again later."""

    exit_code = EXIT_NOT_SETTLED


class EngineError(StackctlError):
    """The Docker Engine or Compose is missing, too old or not running, or an operation failed.

    Known secrets are removed from the message, because it often includes the engine's, which may repeat its input.
    `refused` means that the engine certainly did not start the operation.
    """

    def __init__(self, message: str, *, remedy: str | None = None, refused: bool = False) -> None:
        super().__init__(redacted(message), remedy=redacted(remedy) if remedy else None)
        self.refused = refused


class ServiceError(StackctlError):
    """A service of the stack responded with an error or not at all; `status` is the HTTP status if there was one."""

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
