"""What the log holds, as the API shows it. Reads only; the same view serves POST and GET.

Outputs and reasons come from the encrypted openings; a row whose opening was erased shows its
decision and nothing else. Nothing here checks a proof: that is the auditor's work.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from ledger.columnar import COLUMNS
from ledger.record import parse_entry, parse_row
from ledger.seal import RowTree
from service.batch_views import batch_rows
from service.errors import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.receipt import Receipt
    from ledger.record import Opening
    from service.assembly import Assembly
    from service.predict import Answer

NOT_INTEGERS = frozenset({"reason_codes", "caller_reference"})  # outputs committed as text


def parse_id(text: str) -> tuple[int, int | None]:
    """`17` is a request, `17.3` its row 3."""
    leaf, _, row = text.partition(".")
    return int(leaf), int(row) if row else None


def prediction_json(
    assembly: Assembly,
    leaf: int,
    *,
    row: int | None = None,
    receipt: Receipt | None = None,
    with_inputs: bool,
    reader: str | None = None,
) -> dict[str, Any]:
    """One recorded prediction in the API's form. Raises Missing when the leaf holds none.

    A row of a batch holds its inputs: its bytes go to the `reader` who asked for it, and to whoever
    is shown inputs; anybody else gets its hash.
    """
    if leaf >= assembly.ledger.size:
        raise Missing(f"no prediction {leaf}", f"the log has {assembly.ledger.size} entries")
    body = parse_entry(assembly.ledger.entry(leaf).entry).body
    if body["type"] != "prediction":
        raise Missing(f"entry {leaf} is a {body['type']}, not a prediction")
    data = body["data"]
    if row is not None and row >= data["row_count"]:
        raise Missing(f"prediction {leaf} has {data['row_count']} rows, so no row {row}")
    by_columns = COLUMNS in data
    leaves = [] if by_columns else _row_leaves(assembly, leaf, data)
    wanted = range(len(leaves)) if row is None else [row]
    openings = {} if by_columns else {o.row_index: o for o in assembly.vault.open(leaf)}
    predictor = assembly.inventory.predictor(data["model_digest"])
    texts = {r.code: r.text for r in predictor.reason_texts()}
    whole = with_inputs or reader == body["actor_id"]
    rows, proofs = batch_rows(assembly, leaf, data, row, whole=whole) if by_columns else ([], None)
    for shown in rows:
        shown["outcome"] = latest_outcome(assembly, shown["prediction_id"])
        shown["inputs"] = shown["inputs"] if with_inputs else None
    for index in () if by_columns else wanted:
        shown = _row_json(leaf, parse_row(leaves[index]), openings.get(index), texts)
        shown["derived"] = predictor.derive(shown["outputs"]) if shown["outputs"] else {}
        # A prediction answered just now has no outcome yet, so POST does not look for one.
        shown["outcome"] = None if receipt else latest_outcome(assembly, shown["prediction_id"])
        if not with_inputs:
            shown["inputs"] = None
        rows.append(shown)
    return {
        "prediction_id": str(leaf) if row is None else f"{leaf}.{row}",
        "leaf_index": leaf,
        "event_time": body["event_time"],
        "as_of": data["as_of"],
        "model": {"name": data["model_name"], "model_digest": data["model_digest"]},
        "verification_mode": data["verification_mode"],
        "rows": rows,
        "receipt": (receipt or assembly.receipt(leaf)).to_json(),
        "row_proofs": proofs or (_row_proofs(leaves, wanted) if len(leaves) > 1 else None),
    }


def answer_json(assembly: Assembly, answer: Answer) -> dict[str, Any]:
    """What was recorded just now, out of memory; a retry's first answer is read again.

    A test holds the two together: what is answered is what the log says.
    """
    leaf, draft = answer.index, answer.draft
    if draft is None or answer.rows is None:
        return prediction_json(assembly, leaf, receipt=answer.receipt, with_inputs=False)
    data = draft.data
    digest = str(data["model_digest"])
    predictor = assembly.inventory.predictor(digest)
    texts = {r.code: r.text for r in predictor.reason_texts()}
    rows = [
        {
            "prediction_id": f"{leaf}.{index}",
            "row_index": index,
            "decision": row.output.decision,
            "outputs": dict(row.output.values),
            "reasons": [
                {"code": w.code, "text": texts[w.code], "contribution_q16": w.contribution_q16}
                for w in row.reasons
            ],
            "inputs": None,
            "derived": predictor.derive(row.output.values),
            "outcome": None,
        }
        for index, row in enumerate(answer.rows)
    ]
    leaves = list(draft.rows)
    return {
        "prediction_id": str(leaf),
        "leaf_index": leaf,
        "event_time": draft.event_time,
        "as_of": data["as_of"],
        "model": {"name": data["model_name"], "model_digest": digest},
        "verification_mode": data["verification_mode"],
        "rows": rows,
        "receipt": answer.receipt.to_json(),
        "row_proofs": _row_proofs(leaves, range(len(leaves))) if leaves else None,
    }


def maker_of(assembly: Assembly, leaf: int) -> str:
    """The caller on whose behalf an entry was made."""
    return str(parse_entry(assembly.ledger.entry(leaf).entry).body["actor_id"])


def latest_outcome(assembly: Assembly, row_id: str) -> dict[str, Any] | None:
    """The newest outcome of one predicted row; older ones stay in the log."""
    found = list(assembly.ledger.entries(type="outcome", ref=row_id))
    if not found:
        return None
    newest = found[-1]
    data = parse_entry(newest.entry).body["data"]
    return {
        "value": outcome_value(assembly, newest.index),
        "observed_at": data["observed_at"],
        "leaf_index": newest.index,
        "revises": data["revises"],
    }


def outcome_value(assembly: Assembly, leaf: int) -> str | None:
    """The opened value of an outcome entry; None once erased."""
    for opening in assembly.vault.open(leaf):
        return opening.outputs["value"].value
    return None


def float_of(pattern: str) -> float:
    """A float32 from its 8 hex digits."""
    value: float = struct.unpack(">f", bytes.fromhex(pattern))[0]
    return value


def _row_leaves(assembly: Assembly, leaf: int, data: Mapping[str, Any]) -> list[bytes]:
    if data["row_count"] > 1:
        return assembly.ledger.rows(leaf)
    from ledger.record import row_bytes  # noqa: PLC0415

    return [row_bytes(data["row"])]


def _row_json(
    leaf: int, row: Mapping[str, Any], opening: Opening | None, texts: Mapping[str, str]
) -> dict[str, Any]:
    index = row["row_index"]
    outputs: dict[str, int] = {}
    reasons: list[dict[str, Any]] = []
    inputs: dict[str, str | None] | None = None
    if opening is not None:
        outputs = {
            name: int(field.value)
            for name, field in opening.outputs.items()
            if name not in NOT_INTEGERS
        }
        codes = opening.outputs.get("reason_codes")
        reasons = [
            {"code": c["code"], "text": texts[c["code"]], "contribution_q16": c["contribution_q16"]}
            for c in (json.loads(codes.value) if codes else [])
        ]
        inputs = {name: _shown(field.value) for name, field in opening.inputs.items()}
    return {
        "prediction_id": f"{leaf}.{index}",
        "row_index": index,
        "decision": row["decision"],
        "outputs": outputs,
        "reasons": reasons,
        "inputs": inputs,
    }


def _shown(pattern: str) -> str | None:
    value = float_of(pattern)
    return None if value != value else repr(value)  # noqa: PLR0124 - NaN means missing


def _row_proofs(leaves: list[bytes], wanted: range | list[int]) -> list[dict[str, Any]]:
    tree = RowTree(leaves)
    return [
        {
            "row": leaves[index].decode(),
            "row_index": index,
            "row_count": len(leaves),
            "path": [node.hex() for node in tree.path(index)],
        }
        for index in wanted
    ]
