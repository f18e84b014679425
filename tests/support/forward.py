"""The engine's socket at a second address, which a test can cut off."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

ENGINE = "/var/run/docker.sock"


@contextlib.contextmanager
def forwarded(path: Path | None = None) -> Iterator[tuple[str, threading.Event]]:
    """Have the engine at another socket too, or at a TCP port of this machine.

    Gives the address for DOCKER_HOST, and an event: once it is set, every connection breaks off.
    """
    cut = threading.Event()
    if path is None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(64)
        address = f"unix://{path}"

    def pump(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine, selectors.DefaultSelector() as ready:
            engine.connect(ENGINE)
            ready.register(client, selectors.EVENT_READ, engine)
            ready.register(engine, selectors.EVENT_READ, client)
            # The side that has gone ends it.
            with contextlib.suppress(OSError):
                while not cut.is_set() and ready.get_map():
                    for key, _ in ready.select(0.1):
                        data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                        if data:
                            key.data.sendall(data)
                        else:
                            # The other direction may go on: `docker cp -` ends what it sends before it is answered.
                            ready.unregister(key.fileobj)
                            key.data.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=pump, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield address, cut
    finally:
        cut.set()
        listener.close()
