"""Where the packages meet: one object holding the ledger, the hub and the callers, built once.

`initialise` makes a new house on purpose; `assemble` opens one and refuses when there is none or
when it contradicts itself. Nothing here is HTTP: the scheduler and the CLI assemble the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlmodel import SQLModel

from ledger.keys import Role
from ledger.log import Ledger
from ledger.store import create_schema, open_engine, writer
from ledger.vault import Vault
from models.hub.store import BlobStore
from service import signers
from service.auth import KeyRing
from service.clock import system_clock, utc_ms
from service.cosigning import Cosigning, receipt_of
from service.environment import environment_blob
from service.errors import NotInitialised, ServiceError
from service.inventory import Inventory
from service.tables import ApiKey, SignInLink

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from ledger.receipt import Receipt
    from service.clock import Clock
    from service.settings import Settings
    from service.signers import Signers

DEFAULT_ORIGIN: Final = "assay.example/ledger"
_TABLES = [SQLModel.metadata.tables[t.__tablename__] for t in (ApiKey, SignInLink)]


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything a use case needs, passed along as one argument."""

    settings: Settings
    clock: Clock
    engine: Engine
    ledger: Ledger
    vault: Vault
    blobs: BlobStore
    signers: Signers
    callers: KeyRing
    inventory: Inventory
    environment_digest: str
    cosigning: Cosigning | None

    def receipt(self, leaf: int) -> Receipt:
        """An entry's receipt: witnessed when it can be, else published. Raises NotFound."""
        return receipt_of(self.cosigning, self.ledger, leaf)

    def now(self) -> str:
        """The clock's time as records write it."""
        return utc_ms(self.clock())


def initialise(settings: Settings, clock: Clock = system_clock) -> Assembly:
    """Make keys, database and ledger, and introduce every key in it. Refuses an existing house."""
    if settings.keys_dir.exists():
        raise ServiceError(
            409,
            "already-initialised",
            f"{settings.data_dir} already holds keys; look at it with: "
            f"assay status --data-dir {settings.data_dir}",
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keys = signers.create(settings.keys_dir)
    engine = open_engine(settings.url)
    create_schema(engine)
    SQLModel.metadata.create_all(writer(engine), tables=_TABLES)
    ledger = Ledger.create(
        engine,
        origin=settings.origin or DEFAULT_ORIGIN,
        log_key=keys.log,
        data_dir=settings.data_dir,
    )
    operator = keys[Role.OPERATOR]
    for role, key in keys.by_role.items():
        draft = signers.introduction(key, role, f"house:{role}", event_time=utc_ms(clock()))
        ledger.append(draft, operator)
    _vkey_file(settings).write_text(ledger.vkey + "\n", encoding="utf-8")
    engine.dispose()
    # A policy names the log by its key, which there was none of until now.
    return assemble(settings.model_copy(update={"witness_policy": None}), clock)


def assemble(settings: Settings, clock: Clock = system_clock) -> Assembly:
    """Open an existing house."""
    if not settings.keys_dir.is_dir():
        raise NotInitialised(str(settings.data_dir))
    keys = signers.load(settings.keys_dir)
    engine = open_engine(settings.url)
    ledger = Ledger.open(
        engine,
        origin=settings.origin or _name_of(settings),
        log_key=keys.log,
        data_dir=settings.data_dir,
    )
    blobs = BlobStore(settings.blobs_dir)
    environment_digest = blobs.put(environment_blob())
    inventory = Inventory(ledger, blobs, producer=keys[Role.PRODUCER], clock=clock)
    return Assembly(
        settings=settings,
        clock=clock,
        engine=engine,
        ledger=ledger,
        vault=Vault(keys.openings, engine),
        blobs=blobs,
        signers=keys,
        callers=KeyRing(engine, clock),
        inventory=inventory,
        environment_digest=environment_digest,
        cosigning=Cosigning.of(settings.witness_policy, ledger, engine),
    )


def _vkey_file(settings: Settings) -> Path:
    return settings.data_dir / "log.vkey"


def _name_of(settings: Settings) -> str:
    """The log's name, as its verifier key states it; opening the ledger checks it."""
    try:
        return _vkey_file(settings).read_text("utf-8").partition("+")[0]
    except FileNotFoundError as error:
        raise NotInitialised(str(settings.data_dir)) from error
