"""Shadows: the challenger answers the same requests, for the record and for nobody else.

A version behind the alias `challenger` or `shadow` computes what the champion was asked, afterwards
and in the scheduler's process: the queue is the log itself, so a request waits for nothing and a
crash loses nothing. Its answer is a prediction entry like any other, evidence included, with the
champion's entry as parent and `house:shadow` as actor; the caller never sees it. Openings are kept
under the same person's key, so that erasing the person erases them too.

Bounded: when more than `BACKLOG_MAX` requests wait, the oldest are left out; so are requests whose
inputs were erased, have more than `ROWS_MAX` rows, lack a feature of the challenger or are refused
by it. Each run records how many and why, as a `refusal` entry with cause `ShadowSkipped` whose
parent is the last entry passed: where to go on is in the log, and so is what is missing.

A model halted into `shadow` by an alarm is another thing: it is asked, computes and is recorded at
once, and the caller gets 409 with the alarm and the entry (`keep`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ledger.errors import Overtaken
from ledger.keys import Role
from ledger.looking import count_after, leaves_after
from ledger.record import Draft, unsigned_body
from models.errors import ModelError
from models.hub.catalog import CHAMPION, ModelRef
from service.auth import Identity, Scope
from service.errors import ServiceError
from service.kept import read
from service.predict import Ask, decide, execute, record
from service.source import SHADOWS
from service.switch import Halted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.log import StoredEntry
    from service.assembly import Assembly

SKIPPED: Final = "ShadowSkipped"
ACTOR: Final = "house:shadow"
CALLER: Final = Identity(key_id="shadow", actor_id=ACTOR, scopes=frozenset({Scope.TRADER}))
BACKLOG_MAX: Final = 20_000  # requests waiting for a shadow; the oldest beyond it are left out
RUN_ENTRIES: Final = 500  # of one run for one shadow; then another has its turn
ROWS_MAX: Final = 1_000  # of one request; a larger batch is left out


@dataclass(slots=True)
class Skips:
    """What a run left out, and why."""

    counts: dict[str, int] = field(default_factory=dict)
    last: int = -1

    def add(self, leaf: int, why: str, count: int = 1) -> None:
        """Leave out `count` requests up to a leaf."""
        self.counts[why] = self.counts.get(why, 0) + count
        self.last = max(self.last, leaf)

    @property
    def sentence(self) -> str:
        """All of it."""
        told = ", ".join(f"{count} {why}" for why, count in sorted(self.counts.items()))
        return f"requests not answered by the shadow: {told}"


def score_shadows(assembly: Assembly) -> str:
    """Let every shadow answer what it has not answered yet, up to a bound for each."""
    told = []
    for model in assembly.inventory.catalog(fresh=True).models():
        champion = model.aliases.get(CHAMPION)
        for alias in SHADOWS:
            digest = model.aliases.get(alias)
            if digest is None or digest == champion or not _may_run(assembly, digest):
                continue
            scored, skips = follow(assembly, model.name, digest)
            if scored or skips.counts:
                skipped = sum(skips.counts.values())
                told.append(f"{model.name}@{alias}: {scored} scored, {skipped} left out")
    return "; ".join(told)


def keep(assembly: Assembly, ask: Ask, halted: Halted) -> Halted:
    """What a model halted into `shadow` computes, recorded and not answered: the 409 names it.

    Under another idempotency key than the caller's, or a retry would be answered with it.
    """
    ref = ModelRef(digest=halted.digest, name=halted.halt.name)
    key = ask.idempotency_key
    mine = replace(
        ask,
        caller=CALLER,
        idempotency_key=key and hashlib.sha256(f"halted\0{key}".encode()).hexdigest(),
    )
    rows = execute(assembly.inventory.predictor(ref.digest), mine.rows)
    draft = record(assembly, mine, ref, rows)
    done = assembly.ledger.append(draft, assembly.signers[Role.PRODUCER], deadline=ask.deadline)
    return Halted(halted.digest, halted.halt, recorded=done.index)


def _may_run(assembly: Assembly, digest: str) -> bool:
    """Whether a version may compute: not one that was withdrawn or halted."""
    try:
        assembly.inventory.choose(digest)
    except (ModelError, ServiceError):
        return False
    return True


def follow(assembly: Assembly, name: str, digest: str) -> tuple[int, Skips]:
    """One run of one shadow: how many requests it answered, and what it left out."""
    others, skips = _others(assembly, name, digest), Skips()
    start = position(assembly, name, digest)
    waiting = count_after(assembly.engine, "prediction", others, start)
    if waiting > BACKLOG_MAX:
        (start,) = leaves_after(
            assembly.engine, "prediction", others, start, limit=1, skip=waiting - BACKLOG_MAX - 1
        )
        skips.add(start, f"over the bound of {BACKLOG_MAX} waiting", waiting - BACKLOG_MAX)
    scored = 0
    for leaf in leaves_after(assembly.engine, "prediction", others, start, limit=RUN_ENTRIES):
        scored += _answer(assembly, digest, assembly.ledger.entry(leaf), skips)
    if skips.counts:
        _record_skips(assembly, digest, skips)
    return scored, skips


def position(assembly: Assembly, name: str, digest: str) -> int:
    """The last entry that a shadow has passed; where it became one, if none."""
    history = assembly.inventory.catalog().history(name)
    since = [
        event.leaf
        for event in history
        if event.type == "model.promoted"
        and event.data["model_digest"] == digest
        and event.data["alias"] in SHADOWS
    ]
    passed = [
        _newest_parent(assembly.ledger.entries(type=kind, ref=digest, newest=True))
        for kind in ("prediction", "refusal")
    ]
    return max([*since[-1:], *passed])


def waiting(assembly: Assembly, name: str, digest: str) -> int:
    """How many requests a shadow has still to answer."""
    others = _others(assembly, name, digest)
    return count_after(assembly.engine, "prediction", others, position(assembly, name, digest))


def _newest_parent(entries: Iterable[StoredEntry]) -> int:
    """The parent of the newest entry of a shadow; answers that it gave itself have none."""
    for stored in entries:
        body = unsigned_body(stored.entry)
        if body["parents"] and body["actor_id"] == ACTOR:
            return int(max(body["parents"]))
    return -1


def _others(assembly: Assembly, name: str, digest: str) -> set[str]:
    """Every other version of the name: whichever answered callers."""
    history = assembly.inventory.catalog().history(name)
    return {str(event.data["model_digest"]) for event in history} - {digest}


def _answer(assembly: Assembly, digest: str, stored: StoredEntry, skips: Skips) -> bool:
    body = unsigned_body(stored.entry)
    data = body["data"]
    if body["parents"]:
        return False  # a shadow's own: nobody asked for it
    if data["row_count"] > ROWS_MAX:
        skips.add(stored.index, f"of more than {ROWS_MAX} rows")
        return False
    span = read(assembly, stored.index, stored.index + 1)
    rows = [row.features for row in span.predictions.get(data["model_digest"], ())]
    if len(rows) < data["row_count"]:
        skips.add(stored.index, "whose inputs were erased")
        return False
    try:
        ask = _ask(assembly, digest, stored.index, rows, data)
        _append(assembly, ask, stored.index)
    except ServiceError as error:
        if error.status >= 500:  # noqa: PLR2004 - the log's trouble is no refusal of the shadow's
            raise
        skips.add(stored.index, f"refused ({error.code})")
        return False
    except ModelError as error:
        skips.add(stored.index, f"refused ({type(error).__name__})")
        return False
    return True


def _ask(
    assembly: Assembly,
    digest: str,
    leaf: int,
    rows: list[Mapping[str, float | None]],
    data: Mapping[str, object],
) -> Ask:
    names = assembly.inventory.predictor(digest).feature_names
    if any(name not in row for row in rows for name in names):
        raise ServiceError(422, "feature-missing", "the requests lack a feature of the shadow")
    once = hashlib.sha256(f"shadow\0{digest}\0{leaf}".encode()).hexdigest()
    as_of = data["as_of"]
    return Ask(
        model=digest,
        rows=[{name: row[name] for name in names} for row in rows],
        caller=CALLER,
        idempotency_key=once,
        request_digest=once,
        subject=assembly.vault.subject_of(leaf, 0),
        as_of=None if as_of is None else str(as_of),
    )


def _append(assembly: Assembly, ask: Ask, parent: int) -> int:
    decided = decide(assembly, ask)
    draft = replace(decided.draft, parents=(parent,))
    while True:
        try:
            return assembly.ledger.append(
                draft, assembly.signers[Role.PRODUCER], unless=decided.unless
            ).index
        except Overtaken:
            decided = decided.again(assembly)


def _record_skips(assembly: Assembly, digest: str, skips: Skips) -> None:
    once = hashlib.sha256(f"skipped\0{digest}\0{skips.last}".encode()).hexdigest()
    draft = Draft(
        type="refusal",
        actor_id=ACTOR,
        data={"cause": SKIPPED, "model_digest": digest, "detail": skips.sentence[:2000]},
        event_time=assembly.now(),
        idempotency_key=once,
        request_digest=once,
        parents=(skips.last,),
        ref=digest,
    )
    assembly.ledger.append(draft, assembly.signers[Role.PRODUCER])
