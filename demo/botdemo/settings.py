"""The addresses of the demo's services, and the seed of its random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Address:
    """A host and a TCP port."""

    host: str
    port: int

    def url(self, scheme: str = "http") -> str:
        """Return the address as a URL without a path."""
        return f"{scheme}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """The settings of a role; the hosts are the services' names in Compose."""

    seed: int = 1
    secrets: Path = Path("/run/secrets")
    broker_user: str = "stackctl"
    redis: Address = Address("redis", 6379)
    rabbitmq: Address = Address("rabbitmq", 5672)
    rust_core_engine: Address = Address("rust-core-engine", 8080)
    python_ai_service: Address = Address("python-ai-service", 8000)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read DEMO_SEED, an integer; raise ValueError if it is not one."""
        text = environment.get("DEMO_SEED") or "1"
        try:
            return cls(seed=int(text))
        except ValueError:
            raise ValueError(f"DEMO_SEED must be an integer, not {text!r}") from None

    def secret(self, name: str) -> str:
        """Read a mounted secret; raise OSError if it is missing."""
        return (self.secrets / name).read_text().strip()
