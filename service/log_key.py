"""The log's own key in a house's files: its verifier key, and the one before while both sign.

What may sign which checkpoint is read from the log (`ledger/log_keys.py`), never from these files;
they only follow. The change itself is `keys.rotate_log`, its end `keys.revoke` of the old key.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ledger.keys import Role
from service import key_files
from service.errors import ServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.keybook import KeyBook
    from ledger.log import Ledger
    from ledger.post_quantum import SecondSigner
    from service.settings import Settings


def vkey_file(settings: Settings) -> Path:
    """The file of the verifier key that is handed out."""
    return settings.data_dir / "log.vkey"


def second_signer(settings: Settings, origin: str) -> SecondSigner | None:
    """What signs checkpoints beside the log's own key, if the house is set so."""
    if settings.log_mldsa_key is None:
        return None
    from ledger.post_quantum import SecondSigner  # noqa: PLC0415 - only where one is named

    return SecondSigner.load(settings.log_mldsa_key, origin)


def settle(settings: Settings, book: KeyBook, ledger: Ledger) -> None:
    """Put the key before away once it is revoked; hand out the newest verifier key."""
    former = key_files.load_former(settings.keys_dir, Role.LOG)
    known = None if former is None else book.keys.get(former.key_id)
    if known is not None and known.until is not None:
        key_files.retire_former(settings.keys_dir, Role.LOG)
    path, text = vkey_file(settings), ledger.vkey + "\n"
    if path.is_file() and path.read_text("utf-8") != text:
        draft = path.with_name(path.name + ".part")
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def refuse_stranger(settings: Settings, key_id: str) -> None:
    """Raise ServiceError for a first log key that is not the one in use: none could sign on."""
    if key_files.load_current(settings.keys_dir, Role.LOG).key_id != key_id:
        told = f"{key_id} is not the key this log signs with; replace that: assay keys rotate log"
        raise ServiceError(409, "key-refused", f"{told}. Nothing was recorded")


def refuse_overlap(settings: Settings, book: KeyBook) -> None:
    """Raise ServiceError while the key before still signs: one change at a time."""
    in_use = book.live(Role.LOG)
    if len(in_use) > 1:
        raise ServiceError(
            409,
            "key-in-use",
            f"the log's key {in_use[0].key_id} still signs beside its successor; end that first: "
            f"assay keys revoke {in_use[0].key_id} --reason REASON --data-dir {settings.data_dir}",
        )
