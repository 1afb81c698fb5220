"""`assay serve`: look that it can, then hand over to the server chosen by ASSAY_SERVER.

Each worker process assembles its own house after the fork. A worker listens before its models are
loaded, so that a client waits instead of being refused; it answers nothing until they are.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from service.assembly import assemble
from service.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.settings import Settings


def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until stopped. Refuses first, in the parent, when there is no house to open."""
    assemble(settings).engine.dispose()
    _check_free(settings.host, settings.port)
    announce(f"assay serves http://{settings.host}:{settings.port} from {settings.data_dir}")
    if settings.server == "gunicorn":
        from service.server_gunicorn import run  # noqa: PLC0415 - one server is loaded, not two
    else:
        from service.server_granian import run  # noqa: PLC0415
    run(settings)


def _check_free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on: a server would say so late, or retry."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        detail = f"cannot listen on {host}:{port} ({reason}); choose with --host and --port"
        raise ServiceError(409, "port-taken", detail) from error
