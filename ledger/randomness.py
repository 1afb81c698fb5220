"""Random bytes of the system, fetched by the page: salts, nonces and keys, each byte given once.

A prediction needs about 500 in five pieces. A system call for each lets go of the interpreter's
lock five times, and on a busy server each costs a wait for another thread. A thread has a page of
its own; a forked child drops what it inherited, or it would give its parent's bytes again.
"""

from __future__ import annotations

import os
import threading
from typing import Final

PAGE: Final = 8192


class _Page(threading.local):
    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.process = 0


_page = _Page()
_process = 1  # grows with every fork


def random_bytes(count: int) -> bytes:
    """That many bytes from the system's randomness (os.urandom)."""
    page = _page
    at = page.at
    if page.process != _process or at + count > len(page.data):
        if count > PAGE:
            return os.urandom(count)
        page.data, page.process, at = os.urandom(PAGE), _process, 0
    page.at = at + count
    return page.data[at : page.at]


def _forked() -> None:
    global _process  # noqa: PLW0603 - of this process alone
    _process += 1
    _page.data = b""


os.register_at_fork(after_in_child=_forked)
