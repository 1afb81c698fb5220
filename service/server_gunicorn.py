"""gunicorn, with threads: the other server, by ASSAY_SERVER=gunicorn.

Its quirks, kept here: its command line is ignored by building `BaseApplication` ourselves, and
nothing is opened before the fork, because the append lock must not be shared by inheritance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication

from service.app import create_app
from service.assembly import assemble

if TYPE_CHECKING:
    from flask import Flask

    from service.settings import Settings

DRAIN_S: Final = 30  # a request in flight gets its receipt before the worker goes
BACKLOG: Final = 512  # connections the kernel holds; beyond it a client waits or is refused


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


def run(settings: Settings) -> None:
    """Serve until stopped."""
    Server(settings).run()
