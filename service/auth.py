"""Who is calling, and what may they do: API keys with scopes, and sessions of the pages.

A key reads `assay_<key id>_<secret>`; the secret is 256 random bits and only its SHA-256 is kept.
Every route names the scopes that open it (`api/__init__.py`); one that names none is shut.
Does not decide what a model may do: that is the hub's catalog.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlmodel import Session, select

from ledger.store import writer
from service.clock import parse_utc, utc_ms
from service.errors import FieldRefused, ServiceError
from service.tables import ApiKey, SignInLink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine

    from service.clock import Clock

KEY_FORM = re.compile(r"assay_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
LINK_LIFE = timedelta(minutes=30)  # long enough to read the demo's output first
ACTOR_MAX = 128  # characters of the name that stands in every entry a key causes


class Scope(StrEnum):
    """What a key may be used for."""

    TRADER = "trader"  # ask for predictions, read own receipts
    OUTCOMES = "outcomes"  # report what happened
    AUDITOR = "auditor"  # read everything, inputs included; issue honesty reports
    RISK = "risk"  # read pages and reports, never raw inputs; issue correctness reports
    ADMIN = "admin"  # publish, approve, promote, withdraw; seal


ANY = frozenset(Scope)
KEPT_S = 1.0  # for which a recognised key is not looked up again: how late a revocation may reach
KEPT_MOST = 4096  # keys remembered; beyond it all are looked up again


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller that was recognised."""

    key_id: str
    actor_id: str
    scopes: frozenset[Scope]

    def may(self, wanted: frozenset[Scope]) -> bool:
        """Whether any of the wanted scopes is held."""
        return bool(self.scopes & wanted)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class KeyRing:
    """The callers' keys, in the service's table."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._writer = writer(engine)
        self._clock = clock
        self._kept: dict[str, tuple[float, Identity]] = {}  # by a key's text: until when, whose

    def issue(self, actor_id: str, scopes: Iterable[Scope]) -> str:
        """Make a key; its text is shown once and cannot be read again."""
        scopes = sorted(set(scopes))
        if not scopes:
            raise FieldRefused("scopes", "a key without a scope opens nothing")
        if not 0 < len(actor_id) <= ACTOR_MAX or not actor_id.isprintable() or _edged(actor_id):
            raise FieldRefused("actor", f"expected a name of 1 to {ACTOR_MAX} printable characters")
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        row = ApiKey(
            key_id=key_id,
            secret_sha256=_digest(secret),
            actor_id=actor_id,
            scopes=" ".join(scopes),
            created_at=utc_ms(self._clock()),
        )
        with Session(self._writer) as session:
            session.add(row)
            session.commit()
        return f"assay_{key_id}_{secret}"

    def revoke(self, key_id: str) -> None:
        """End a key at once, and with it every session of the pages made from it."""
        with Session(self._writer) as session:
            row = session.get(ApiKey, key_id, with_for_update=True)
            if row is None:
                raise ServiceError(404, "unknown-key", f"no API key {key_id}")
            row.revoked_at = row.revoked_at or utc_ms(self._clock())
            session.add(row)
            session.commit()
        self._kept.clear()

    def keys(self) -> list[ApiKey]:
        """All keys, oldest first."""
        with Session(self._engine) as session:
            return list(session.exec(select(ApiKey).order_by(ApiKey.created_at)))

    def recognise(self, text: str) -> Identity:
        """The identity behind a key's text; 401 when there is none.

        Looked up once a second: another process's revocation is seen that late, this one's at once.
        """
        kept = self._kept.get(text)
        now = time.monotonic()
        if kept is not None and now < kept[0]:
            return kept[1]
        form = KEY_FORM.fullmatch(text)
        row = self._row(form.group(1)) if form else None
        if form is None or row is None:
            raise _refused()
        if not hmac.compare_digest(row.secret_sha256, _digest(form.group(2))):
            raise _refused()
        found = _identity(row)
        if len(self._kept) >= KEPT_MOST:
            self._kept.clear()
        self._kept[text] = now + KEPT_S, found
        return found

    def identity(self, key_id: str) -> Identity | None:
        """The identity of a key that was recognised earlier, unless it was revoked since."""
        row = self._row(key_id)
        return _identity(row) if row else None

    def make_link(self, key_id: str) -> str:
        """A token that opens the pages once, within half an hour."""
        token = secrets.token_urlsafe(32)
        link = SignInLink(
            token_sha256=_digest(token),
            key_id=key_id,
            expires_at=utc_ms(self._clock() + LINK_LIFE),
        )
        with Session(self._writer) as session:
            session.add(link)
            session.commit()
        return token

    def use_link(self, token: str) -> Identity | None:
        """Spend a token; None when it is unknown, spent or too old."""
        with Session(self._writer) as session:
            # Locked, where BEGIN has not locked everything already: it is spent once.
            link = session.get(SignInLink, _digest(token), with_for_update=True)
            now = self._clock()
            if link is None or link.used_at or parse_utc(link.expires_at) < now:
                return None
            link.used_at = utc_ms(now)
            session.add(link)
            session.commit()
            return self.identity(link.key_id)

    def _row(self, key_id: str) -> ApiKey | None:
        with Session(self._engine, expire_on_commit=False) as session:
            row = session.get(ApiKey, key_id)
            return row if row is not None and row.revoked_at is None else None


def _edged(text: str) -> bool:
    return text != text.strip()


def _identity(row: ApiKey) -> Identity:
    scopes = frozenset(Scope(word) for word in row.scopes.split())
    return Identity(key_id=row.key_id, actor_id=row.actor_id, scopes=scopes)


def _refused() -> ServiceError:
    return ServiceError(
        401,
        "not-signed-in",
        "send an API key as 'Authorization: Bearer assay_...'; make one with: assay api-keys issue",
        headers={"WWW-Authenticate": 'Bearer realm="assay"'},
    )


def refuse_scope(identity: Identity, wanted: frozenset[Scope]) -> ServiceError:
    """403, naming the scope that is missing."""
    held = ", ".join(sorted(identity.scopes)) or "none"
    return ServiceError(
        403,
        "scope-missing",
        f"this needs one of the scopes {', '.join(sorted(wanted))}; the key holds {held}",
    )
