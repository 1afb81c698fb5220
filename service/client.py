"""A client for trading systems: it pools, retries, and believes no answer that its receipt lacks.

    with Client("https://assay.example", api_key, vkey, kept=Path("log.checkpoint")) as assay:
        decision = assay.predict("credit-default", features, caller_reference="order 17")

Before an answer is handed over, without asking anybody: the receipt leads to a checkpoint that the
log signed under *your* verifier key; the entry in it names the model, the decision and the
idempotency key of this very request; and the newest checkpoint, if it has the same size, has the
same root. `check_growth` asks the server for the proof that the log under the newest checkpoint
begins with the one proven last, which is kept in the file `kept` from one run to the next; until
it is called, a server that shows two trees is noticed only by equal sizes.

Every request has an idempotency key, made here when none is given, so a retry decides nothing
twice. Retried are a connection that broke and answers 502, 503 and 504, at growing intervals or
when the server says. Inputs and outputs are not held against the commitments in the entry: salts
are the house's, and an auditor has them opened.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from ledger.errors import LedgerError
from ledger.merkle import verify_consistency
from ledger.note import open_checkpoint
from ledger.receipt import Receipt, verify_receipt
from ledger.record import unsigned_body

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ledger.note import Checkpoint

RETRIES: Final = 6  # of one request, over about 10 seconds
FIRST_WAIT_S: Final = 0.1  # doubled each time, and spread by half
TIMEOUT_S: Final = 30.0
CONNECTIONS: Final = 64
_AGAIN: Final = frozenset({502, 503, 504})


class AnswerRefused(Exception):
    """An answer that its receipt does not bear out: it must not be acted on."""

    def __init__(self, claim: str, *, expected: object, got: object) -> None:
        super().__init__(f"{claim}: expected {expected}, got {got}")
        self.claim = claim


class NotAnswered(Exception):
    """The server refused, or could not be reached often enough. `problem` is its own (RFC 9457)."""

    def __init__(self, status: int | None, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status or 'no answer'}: {problem.get('detail', 'no detail')}")
        self.status = status
        self.problem = dict(problem)


@dataclass(frozen=True, slots=True)
class Decision:
    """One row's answer, borne out by its receipt. `answer` is all that the server said."""

    prediction_id: str
    decision: str
    outputs: Mapping[str, int]
    receipt: Receipt
    idempotency_key: str
    answer: Mapping[str, Any]


class Client:
    """One caller of one server. May be shared by threads."""

    def __init__(
        self,
        address: str,
        api_key: str,
        vkey: str,
        *,
        kept: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._vkey = vkey
        self._key_id = api_key.split("_")[1]
        self._file = kept
        self._lock = threading.Lock()
        self._newest: tuple[Checkpoint, str] | None = None
        self._proven: tuple[Checkpoint, str] | None = None
        if kept is not None and kept.exists():
            self._remember(kept.read_text("utf-8"))
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.Client(
            base_url=address,
            headers={"Authorization": f"Bearer {api_key}"},
            limits=limits,
            timeout=TIMEOUT_S,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the pool, and put the last proven checkpoint into its file."""
        self._http.close()
        self._save()

    @property
    def checkpoint(self) -> str | None:
        """The newest checkpoint seen, as a signed note; give it to your auditor."""
        return self._newest[1] if self._newest else None

    def predict(
        self,
        model: str,
        features: Mapping[str, float | None],
        *,
        idempotency_key: str | None = None,
        deadline_ms: int | None = None,
        **more: str,
    ) -> Decision:
        """One row's decision; `more` are `as_of`, `caller_reference`, `subject`.

        Raises NotAnswered, or AnswerRefused for an answer that must not be acted on.
        """
        key = idempotency_key or uuid.uuid4().hex
        headers = {"Idempotency-Key": key}
        if deadline_ms is not None:
            headers["Assay-Deadline-Ms"] = str(deadline_ms)
        body = {"model": model, "features": dict(features), **more}
        answer = self._ask("POST", "/v1/predictions", headers=headers, json=body)
        return self._borne_out(answer, key)

    def check_growth(self) -> int:
        """Have it proven that the log only grew since the last time; the size it has grown to.

        Raises AnswerRefused when it did not.
        """
        with self._lock:
            newest, old = self._newest, self._proven
        if newest is None:
            return 0
        new = newest[0]
        if old is not None and 0 < old[0].size < new.size:
            self._prove(old[0], new)
        with self._lock:
            self._proven = newest
        self._save()
        return new.size

    def _prove(self, old: Checkpoint, new: Checkpoint) -> None:
        where = {"first": old.size, "second": new.size}
        told = self._ask("GET", "/v1/ledger/proof/consistency", params=where)
        try:
            verify_consistency(
                old_size=old.size,
                old_root=old.root,
                new_size=new.size,
                new_root=new.root,
                path=[bytes.fromhex(node) for node in told["path"]],
            )
        except (LedgerError, KeyError, TypeError, ValueError) as error:
            claim = f"the log of {new.size} begins with the one of {old.size}"
            raise AnswerRefused(claim, expected="a proof", got=error) from error

    # --- what an answer must bear out ---

    def _borne_out(self, answer: dict[str, Any], key: str) -> Decision:
        try:
            receipt = Receipt.from_json(answer["receipt"])
            verify_receipt(receipt, self._vkey)
            body = unsigned_body(receipt.entry)
            data, (row,) = body["data"], answer["rows"]
            model, recorded = answer["model"]["model_digest"], data["row"]["decision"]
            decision = Decision(
                row["prediction_id"], row["decision"], row["outputs"], receipt, key, answer
            )
        except LedgerError as error:
            raise AnswerRefused("the receipt", expected="one that checks", got=error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise AnswerRefused("the answer", expected="its form", got=repr(error)) from error
        mine = hashlib.sha256(f"{self._key_id}\0{key}".encode()).hexdigest()
        for claim, expected, got in (
            ("the entry's type", "prediction", body["type"]),
            ("the entry's idempotency key", mine, body["idempotency_key"]),
            ("the model in the entry", model, data["model_digest"]),
            ("the decision in the entry", row["decision"], recorded),
            ("the prediction's id", f"{receipt.leaf_index}.0", row["prediction_id"]),
        ):
            if got != expected:
                raise AnswerRefused(claim, expected=expected, got=got)
        self._remember(receipt.checkpoint)
        return decision

    def _remember(self, note: str) -> None:
        """Keep the newest checkpoint; two of one size must be one tree."""
        seen = open_checkpoint(note, self._vkey)
        with self._lock:
            kept = self._newest[0] if self._newest else None
            if kept is not None and kept.size == seen.size and kept.root != seen.root:
                claim = f"one tree of {seen.size} entries"
                raise AnswerRefused(claim, expected=kept.root.hex(), got=seen.root.hex())
            if kept is None or seen.size > kept.size:
                self._newest = seen, note
                self._proven = self._proven or self._newest

    def _save(self) -> None:
        """Write the checkpoint that the next proof will begin from: whole or not at all."""
        if self._file is None or self._proven is None:
            return
        draft = self._file.with_name(self._file.name + ".part")
        draft.write_text(self._proven[1], encoding="utf-8")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(self._file)

    # --- asking ---

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        wait, status, problem = FIRST_WAIT_S, None, {"detail": "the server was not reached"}
        for attempt in range(RETRIES + 1):
            if attempt:
                time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - spreads callers
                wait *= 2
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                status, problem = None, {"detail": f"the connection failed: {error}"}
                continue
            if answer.is_success:
                return _json(answer)
            status, problem = answer.status_code, _json(answer)
            if status not in _AGAIN:
                break
            wait = max(wait, float(answer.headers.get("Retry-After", "0")))
        raise NotAnswered(status, problem)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {"detail": f"an answer that is not JSON: {answer.text[:200]}"}
    return found if isinstance(found, dict) else {"detail": "an answer that is no object"}
