"""The errors that a user can act on. `cli.main` prints them as one line and exits with their code."""

from __future__ import annotations


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


class UsageError(StackctlError):
    """A wrong option, argument or setting: exit code 2, as `docker compose` does."""

    exit_code = 2


class EngineError(StackctlError):
    """The Docker Engine or Compose is missing, too old, not running, or refused an operation."""


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
