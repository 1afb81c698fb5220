"""Private key files of a house, and the change from one key of a role to the next.

| File in `keys/` | What it is |
|---|---|
| `<role>.key`, or `<role>.uri` | the key in use: itself, or where it is (`ledger/kms.py`) |
| `<role>.key.next`, or `<role>.uri.next` | its successor, in use once an entry introduces it |
| `log.key.former`, or `.uri.former` | the log's key before; it signs beside until it is revoked |
| `<role>.<key id>.retired` | one that was in use; nothing reads it |
| `<role>.<key id>.key` | a further key of the role, made here for somebody else |

A change is two renames: current to retired, next to current. Between them only `next` is there, and
it is read as the current one: the entry that introduces it was durable before the first rename.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ledger.errors import KeyRefused
from ledger.keys import load_key, save_key
from ledger.kms import SUFFIX, load_uri, uri_file

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.keys import SigningKey

KEY: Final = ".key"
NEXT: Final = ".next"
FORMER: Final = ".former"


def load_current(directory: Path, role: str) -> SigningKey:
    """The key in use. Raises KeyRefused when there is none, or more than one."""
    found = _one_of(directory, role, "") or _one_of(directory, role, NEXT)
    if found is None:
        raise KeyRefused(str(directory / f"{role}{KEY}"), "is not there; bring it back from backup")
    return _load(found)


def load_next(directory: Path, role: str) -> SigningKey | None:
    """The successor that was made, if one was."""
    found = _one_of(directory, role, NEXT)
    return None if found is None else _load(found)


def load_former(directory: Path, role: str) -> SigningKey | None:
    """The key before, where it still signs beside the one in use."""
    found = _one_of(directory, role, FORMER)
    return None if found is None else _load(found)


def retire_former(directory: Path, role: str, *, destroy: bool = False) -> None:
    """Put the key before away, once it signs no more."""
    found = _one_of(directory, role, FORMER)
    if found is not None and destroy:
        found.unlink()
    elif found is not None:
        found.rename(directory / f"{role}.{_load(found).key_id}.retired")
    _sync(directory)


def write_next(directory: Path, role: str, key: SigningKey, *, uri: str = "") -> None:
    """Keep a successor on disk, before anything is said of it."""
    if uri:
        path = directory / f"{role}{SUFFIX}{NEXT}"
        with path.open("x", encoding="utf-8") as file:
            file.write(uri_file(uri, key.public))
            file.flush()
            os.fsync(file.fileno())
    else:
        save_key(directory / f"{role}{KEY}{NEXT}", key)
    _sync(directory)


def swap(directory: Path, role: str, *, destroy: bool = False, beside: bool = False) -> None:
    """Put the successor in place; the old key goes on beside, is kept as retired, or removed."""
    coming = _one_of(directory, role, NEXT)
    if coming is None:
        return
    going = _one_of(directory, role, "")
    if going is not None and beside:
        going.rename(going.with_name(going.name + FORMER))
    elif going is not None and destroy:
        going.unlink()
    elif going is not None:
        going.rename(directory / f"{role}.{_load(going).key_id}.retired")
    _sync(directory)
    coming.rename(directory / coming.name.removesuffix(NEXT))
    _sync(directory)


def _one_of(directory: Path, role: str, end: str) -> Path | None:
    """The one file of a role that ends so; a key that is here or one elsewhere, not both."""
    paths = [directory / f"{role}{kind}{end}" for kind in (KEY, SUFFIX)]
    found = [path for path in paths if path.exists()]
    if len(found) > 1:
        raise KeyRefused(str(found[0]), f"and {found[1].name} are both there; move one away")
    return found[0] if found else None


def _load(path: Path) -> SigningKey:
    kind = path.name.removesuffix(NEXT).removesuffix(FORMER)
    return load_uri(path) if kind.endswith(SUFFIX) else load_key(path)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
