"""A model tried on rows whose outcomes are known: served, recorded, judged, on this machine.

A real server answers over HTTP. Each answer is an entry before it is given, each outcome a later
one by another key, and both reports come from the API. Nothing here decides anything: it does what
a desk, a back office and an auditor do, one after the other.
"""

from __future__ import annotations

import math
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.receipt import Receipt, verify_receipt
from models.hub.intake.table import TABLE_MAX, read_table
from service.auth import KEY_FORM, Scope
from service.demo.desk import Client
from service.demo.processes import free_port, server
from service.errors import FieldRefused, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.hub.intake.table import Table
    from models.hub.manifest import Feature, Manifest
    from service.assembly import Assembly

BATCH_ROWS: Final = 200
SCOPES: Final = (Scope.TRADER, Scope.OUTCOMES, Scope.AUDITOR, Scope.RISK, Scope.ADMIN)


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried, on which rows."""

    model: str
    table: Path
    target: str
    rows: int
    port: int


@contextmanager
def trial(
    house: Assembly, given: Trial, progress: Callable[[int], None] = lambda _: None
) -> Iterator[list[str]]:
    """Serve, ask, report, evaluate; gives the lines to show. The server runs on in the block."""
    ref = house.inventory.catalog(fresh=True).resolve(given.model)
    manifest = house.inventory.manifest(ref.digest)
    rows, outcomes, left_out = _rows(given, manifest)
    key = house.callers.issue("try-out", SCOPES)
    try:
        with server(house.settings.data_dir, free_port(given.port)) as address:
            with closing(Client(address, key)) as client:
                ids, receipt = _ask(client, ref.digest, rows, progress)
                _tell(client, house, ids, outcomes)
                judged = _judged(client, ref.digest)
            yield [
                *_recorded(house, ids, receipt, left_out),
                *judged,
                f"pages: {address}/ (sign in: {address}{_link(house, key)})",
            ]
    finally:
        house.callers.revoke(_key_id(key))


def _rows(given: Trial, manifest: Manifest) -> tuple[list[dict[str, float | None]], list[int], int]:
    """Rows the model takes, their outcomes, and how many lie outside its bounds."""
    if given.table.stat().st_size > TABLE_MAX:
        raise FieldRefused("--data", f"{given.table} is longer than {TABLE_MAX} bytes")
    table = read_table(
        given.table.read_bytes(), target=given.target, columns=manifest.feature_names
    )
    rows: list[dict[str, float | None]] = []
    outcomes: list[int] = []
    left_out = 0
    for values, label in zip(table.matrix.tolist(), _labels(table), strict=True):
        if len(rows) == given.rows:
            break
        if all(_fits(f, x) for f, x in zip(manifest.features, values, strict=True)):
            pairs = zip(manifest.feature_names, values, strict=True)
            rows.append({name: None if math.isnan(x) else x for name, x in pairs})
            outcomes.append(label)
        else:
            left_out += 1
    if not rows:
        raise FieldRefused("--data", "no row lies within the bounds of the training data")
    return rows, outcomes, left_out


def _labels(table: Table) -> list[int]:
    found: list[int] = [] if table.labels is None else table.labels.tolist()
    return found


def _fits(feature: Feature, value: float) -> bool:
    if math.isnan(value):
        return feature.missing
    whole = feature.type != "integer" or value == math.floor(value)
    return whole and feature.minimum <= value <= feature.maximum


def _ask(
    client: Client,
    digest: str,
    rows: list[dict[str, float | None]],
    progress: Callable[[int], None],
) -> tuple[list[str], dict[str, Any]]:
    """Every row's id, and the last receipt."""
    ids: list[str] = []
    answer: dict[str, Any] = {}
    for at in range(0, len(rows), BATCH_ROWS):
        part = rows[at : at + BATCH_ROWS]
        answer = client.predict(digest, part, None)
        leaf = answer["leaf_index"]
        ids += [f"{leaf}.{row}" for row in range(len(part))]
        progress(len(part))
    return ids, answer["receipt"]


def _tell(client: Client, house: Assembly, ids: list[str], outcomes: list[int]) -> None:
    now = house.now()
    told = [
        {"prediction_id": row, "value": str(value), "observed_at": now}
        for row, value in zip(ids, outcomes, strict=True)
    ]
    for at in range(0, len(told), BATCH_ROWS):
        client.report_outcomes(told[at : at + BATCH_ROWS])


def _recorded(house: Assembly, ids: list[str], receipt: dict[str, Any], left_out: int) -> list[str]:
    verify_receipt(Receipt.from_json(receipt), house.ledger.vkey)
    vkey, leaf = f"{house.settings.data_dir}/log.vkey", receipt["leaf_index"]
    lines = [
        f"served and recorded: {len(ids)} predictions, {ids[0]} to {ids[-1]}",
        f"receipt of leaf {leaf}: signature and inclusion checked offline against {vkey}",
    ]
    if left_out:
        lines.append(f"left out: {left_out} rows outside the bounds of the training data")
    return lines


def _judged(client: Client, digest: str) -> list[str]:
    """Both reports, one after the other and never added up."""
    honesty = client.post("/v1/reports/honesty", {})["report"]
    correctness = client.post("/v1/reports/correctness", {})["report"]
    lines = [f"computed honestly? {_honest(honesty, digest)}"]
    for model in correctness["evaluated_models"]:
        if model["model_digest"] != digest:
            continue
        lines.append(f"computed correctly? {model['standing']}: {model['standing_reason']}")
        for found in model["estimates"]:
            told = (
                f"{found['value']} (95%: {found['low']} to {found['high']}, n = {found['n']})"
                if found["value"] is not None
                else found["reason"]
            )
            lines.append(f"  {found['metric']:<18} {told}")
    return lines


def _honest(report: dict[str, Any], digest: str) -> str:
    """The verdict on this model's executions."""
    for found in report["executions"]:
        if found["model_digest"] == digest:
            counts = ", ".join(f"{n} {kind}" for kind, n in found["counts"].items() if n)
            return f"{found['verdict']}: {counts.replace('_', ' ')}"
    return f"{len(report['findings'])} findings"


def _key_id(key: str) -> str:
    form = KEY_FORM.fullmatch(key)
    if form is None:
        raise ServiceError(500, "internal", "an issued key has another form than expected")
    return form.group(1)


def _link(house: Assembly, key: str) -> str:
    return f"/sign-in?token={house.callers.make_link(_key_id(key))}"
