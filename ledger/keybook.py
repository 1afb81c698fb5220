"""Who may sign what, from which leaf to which: keys as the log's own entries tell it.

Three types of entry speak of keys. `key.added` introduces one, signed by an operator. `key.rotated`
introduces one in another's place, signed by that other one. `key.revoked` ends one, signed by an
operator. A key may sign from the entry after its introduction up to the entry that ends it, that
one included. Leaves decide, never times, so that a key ended long ago still checks what it signed.

The log's own keys sign checkpoints and no entry but `key.rotated` (`log_keys.py`). The first may be
introduced at any leaf and has signed from size 0; each other one replaces the one before, which
goes on beside it until it is revoked: the overlap. There is one successor at a time.

Used by the check of a whole log, and by a house before it records such an entry: one set of rules.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes
from ledger.findings import KnownKey
from ledger.grammar import SIGNER_ROLES
from ledger.public_keys import POSSESSION_TAG, PublicKey, Role
from ledger.refusals import KeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ADDED: Final = "key.added"
ROTATED: Final = "key.rotated"
REVOKED: Final = "key.revoked"
ENDING: Final = (ROTATED, REVOKED)


class KeyBook:
    """The keys of a log as of some leaf."""

    def __init__(self, keys: Iterable[KnownKey] = ()) -> None:
        self.keys = {key.key_id: key for key in keys}
        self.public = {key.key_id: PublicKey(key.public_key) for key in self.keys.values()}

    def check(self, leaf: int, body: Mapping[str, Any]) -> None:
        """Hold an entry about keys against the rules; a new key is known from here on.

        It is known even when something else is wrong with its entry: what it signs is then judged
        by it, and the finding stays where the fault is. Raises KeyRefused or SignatureRefused.
        """
        data = body["data"]
        if body["type"] == REVOKED:
            self._check_revoked(leaf, data["key_id"])
            return
        if body["type"] == ROTATED:
            old = self._going_on(leaf, data["replaces"])
            self._introduce(leaf, body)
            if old.role != data["role"]:
                raise KeyRefused(old.key_id, f"has role {old.role}, its successor {data['role']}")
        else:
            self._introduce(leaf, body)
        claim = {name: value for name, value in data.items() if name != "possession"}
        held = b64decode(data["possession"])
        self.public[data["key_id"]].verify(POSSESSION_TAG + canonical_bytes(claim), held)

    def end(self, leaf: int, body: Mapping[str, Any]) -> None:
        """After an entry that ends a key was checked, its signature too: that was its last leaf."""
        ended = ended_by(body)
        if body["type"] == ROTATED and self.keys[ended].role is Role.LOG:
            return  # it goes on beside its successor
        self.keys[ended] = replace(self.keys[ended], until=leaf)

    def misfit(self, leaf: int, body: Mapping[str, Any]) -> tuple[str, str] | None:
        """Which key should have signed an entry and which did; None when it may."""
        signer, kind = body["producer"], body["type"]
        wanted = SIGNER_ROLES[kind] or Role(body["data"]["role"])
        known = self.keys.get(signer)
        # The operator's first key is introduced by the entry that it signs.
        if known is None or known.leaf >= leaf > 0:
            return f"a key of role {wanted}", f"{signer}, not introduced before"
        if known.role is not wanted:
            return f"a key of role {wanted}", f"{signer}, of role {known.role}"
        if known.until is not None and leaf > known.until:
            return f"a key of role {wanted}", f"{signer}, which was ended by entry {known.until}"
        if kind == ROTATED and signer != body["data"]["replaces"]:
            return f"the key that it replaces, {body['data']['replaces']}", signer
        return None

    def live(self, role: Role) -> list[KnownKey]:
        """The keys of a role that may sign the next entry, oldest first."""
        return [key for key in self.keys.values() if key.role is role and key.until is None]

    def _introduce(self, leaf: int, body: Mapping[str, Any]) -> None:
        data = body["data"]
        named, role, public = data["key_id"], Role(data["role"]), b64decode(data["public_key"])
        key = PublicKey(public)
        if key.key_id != named:
            raise KeyRefused(named, f"the public key's id is {key.key_id}")
        if named in self.keys:
            raise KeyRefused(named, f"was introduced at leaf {self.keys[named].leaf}")
        replaced = [data["replaces"]] if body["type"] == ROTATED else []
        if role is Role.LOG and [key.key_id for key in self.live(Role.LOG)] != replaced:
            raise KeyRefused(named, "a log key replaces the only one in use, or is the log's first")
        if leaf == 0 and (role is not Role.OPERATOR or body["producer"] != named):
            raise KeyRefused(named, "the log begins with the operator's own key")
        self.keys[named] = KnownKey(named, public, role, data["holder"], leaf)
        self.public[named] = key

    def _going_on(self, leaf: int, named: str) -> KnownKey:
        """A key that may still sign. Raises KeyRefused."""
        key = self.keys.get(named)
        if key is None or key.leaf >= leaf:
            raise KeyRefused(named, "was not introduced before")
        if key.until is not None:
            raise KeyRefused(named, f"was ended by entry {key.until}")
        return key

    def _check_revoked(self, leaf: int, named: str) -> None:
        key = self._going_on(leaf, named)
        if key.role in {Role.OPERATOR, Role.LOG} and self.live(key.role) == [key]:
            raise KeyRefused(named, f"is the last key of role {key.role}; put another there before")


def ended_by(body: Mapping[str, Any]) -> str:
    """The id of the key that an entry of a type in `ENDING` ends."""
    return str(body["data"]["replaces" if body["type"] == ROTATED else "key_id"])
