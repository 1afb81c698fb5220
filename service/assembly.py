"""Where the packages meet: one object holding the ledger, the hub and the callers, built once.

`initialise` makes a new house on purpose; `assemble` opens one and refuses when there is none or
when it contradicts itself. Nothing here is HTTP: the scheduler and the CLI assemble the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.errors import AnchorLost, RolledBack
from ledger.keys import Role
from ledger.log import Ledger
from ledger.store import check_exists, holds_log, open_engine
from ledger.vault import Vault
from models.hub.places import open_place
from models.hub.store import BlobStore
from service import keys as house_keys
from service import log_key, schema, signers
from service.auth import KeyRing
from service.clock import system_clock, utc_ms
from service.cosigning import Cosigning, receipt_of
from service.environment import environment_blob
from service.errors import NotInitialised, ServiceError
from service.inventory import Inventory

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ledger.receipt import Receipt
    from service.clock import Clock
    from service.settings import Settings
    from service.signers import Signers

DEFAULT_ORIGIN: Final = "assay.example/ledger"


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
    if settings.anchor_path.exists():
        told = f"{settings.anchor_path} is the anchor of a log already; name another: ASSAY_ANCHOR"
        raise ServiceError(409, "already-initialised", told)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = _new_database(settings)
    keys = signers.create(settings.keys_dir)
    ledger = Ledger.create(
        engine,
        origin=settings.origin or DEFAULT_ORIGIN,
        log_key=keys.log,
        data_dir=settings.data_dir,
        anchor=settings.anchor_path,
    )
    operator = keys[Role.OPERATOR]
    for role, key in keys.by_role.items():
        draft = signers.introduction(key, role, f"house:{role}", event_time=utc_ms(clock()))
        ledger.append(draft, operator)
    log_key.vkey_file(settings).write_text(ledger.vkey + "\n", encoding="utf-8")
    engine.dispose()
    # A policy names the log by its key, which there was none of until now.
    return assemble(settings.model_copy(update={"witness_policy": None}), clock)


def assemble(
    settings: Settings, clock: Clock = system_clock, *, ended_keys: bool = False
) -> Assembly:
    """Open an existing house. With `ended_keys` also one whose own keys may not all sign."""
    if not settings.keys_dir.is_dir():
        raise NotInitialised(str(settings.data_dir))
    keys = signers.load(settings.keys_dir)
    engine = open_engine(settings.url)
    try:
        check_exists(engine)
        schema.check(engine)
        ledger = Ledger.open(
            engine,
            origin=origin_of(settings),
            log_key=keys.log,
            more_log_keys=keys.more_log,
            second=log_key.second_signer(settings, origin_of(settings)),
            data_dir=settings.data_dir,
            anchor=settings.anchor_path,
        )
        keys = house_keys.settle(settings, keys, ledger, ended=ended_keys)
    except (AnchorLost, RolledBack) as error:
        engine.dispose()
        code = "ledger-rolled-back" if isinstance(error, RolledBack) else "ledger-anchor"
        raise ServiceError(503, code, f"{error} --data-dir {settings.data_dir}") from error
    except BaseException:
        engine.dispose()
        raise
    behind = open_place(settings.blobs_url) if settings.blobs_url else None
    blobs = BlobStore(settings.blobs_dir, behind)
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


def _new_database(settings: Settings) -> Engine:
    """An engine on a database with the schema and no log; refuses one that holds a log."""
    engine = open_engine(settings.url)
    if holds_log(engine):
        engine.dispose()
        raise ServiceError(
            409,
            "already-initialised",
            "the database holds a house already; on another host of the same house copy keys/, "
            "log.vkey, anchor.json and blobs/ from the first instead of making new ones",
        )
    schema.migrate(engine)
    return engine


def origin_of(settings: Settings) -> str:
    """The log's name: as set, else as its verifier key states it. Opening the ledger checks it."""
    if settings.origin:
        return settings.origin
    try:
        return log_key.vkey_file(settings).read_text("utf-8").partition("+")[0]
    except FileNotFoundError as error:
        raise NotInitialised(str(settings.data_dir)) from error
