"""Where the demo's neighbours are and what its random numbers start from."""

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
        """Give the address as a URL without a path."""
        return f"{scheme}://{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """What a role is started with; the hosts are the names that compose gives the services."""

    seed: int = 1
    secrets: Path = Path("/run/secrets")
    broker_user: str = "stackctl"
    redis: Address = Address("redis", 6379)
    rabbitmq: Address = Address("rabbitmq", 5672)
    rust_core_engine: Address = Address("rust-core-engine", 8080)
    python_ai_service: Address = Address("python-ai-service", 8000)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read DEMO_SEED, a whole number; raise ValueError where it is none."""
        text = environment.get("DEMO_SEED") or "1"
        try:
            return cls(seed=int(text))
        except ValueError:
            raise ValueError(f"DEMO_SEED must be a whole number, not {text!r}") from None

    def secret(self, name: str) -> str:
        """Read a mounted secret; raise OSError where it is not there."""
        return (self.secrets / name).read_text().strip()
