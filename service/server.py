"""The production server: gunicorn, threads, each worker assembling its own house after the fork.

gunicorn's quirks, kept here: its command line is ignored by building `BaseApplication` ourselves,
and nothing is opened before the fork, because the append lock must not be shared by inheritance.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication

from service.app import create_app
from service.assembly import assemble
from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from service.settings import Settings

DRAIN_S = 30  # a request in flight gets its receipt before the worker goes
BACKLOG = 512  # connections the kernel holds; beyond it a client waits or is refused


class Server(BaseApplication):  # type: ignore[misc] # gunicorn ships no types
    """One Assay server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Only what differs from gunicorn's defaults."""
        chosen: dict[str, Any] = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "worker_class": "gthread",
            "backlog": BACKLOG,
            "graceful_timeout": DRAIN_S,
            "timeout": 120,  # an honesty report audits the whole log within one request
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "proc_name": "assay",
            "control_socket_disable": True,
        }
        for name, value in chosen.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Called in each worker, after the fork."""
        return create_app(assemble(self._settings))


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until stopped. Refuses first, in the parent, when there is no house to open."""
    assemble(settings).engine.dispose()
    _check_free(settings.host, settings.port)
    announce(f"assay serves http://{settings.host}:{settings.port} from {settings.data_dir}")
    Server(settings).run()


def _check_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on: gunicorn would try for five seconds."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        detail = f"cannot listen on {host}:{port} ({reason}); choose with --host and --port"
        raise ServiceError(409, "port-taken", detail) from error
