"""What an entry may say: its common fields, the fields of each type, and who may sign it.

One table per question, read by the writer before signing and by the auditor after. A type's data
has exactly the keys listed here: an unknown key is refused as firmly as a missing one, so nothing
can hide in an entry. A changed table is a new schema version (docs/formats/entry.md).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from ledger.canonical import INT_MAX
from ledger.public_keys import KEY_BYTES, SIGNATURE_BYTES, Role
from ledger.refusals import RecordError

ENTRY_SCHEMA: Final = "assay/entry/v1"
ROWS_MAX: Final = 100_000  # a row id is written `17.99999`
LIST_MAX: Final = 256  # parents or tags of one entry

# A check says what it expected, or None when the value is that.
Check = Callable[[object], str | None]
Fields = Mapping[str, Check]


# --- checks ----------------------------------------------------------------------------------


def matching(pattern: str, described: str) -> Check:
    """Text that a pattern covers whole."""
    compiled = re.compile(pattern)
    expected = f"expected {described}"

    def check(value: object) -> str | None:
        fits = isinstance(value, str) and compiled.fullmatch(value) is not None
        return None if fits else expected

    return check


def text(longest: int) -> Check:
    """Text of 1 to `longest` characters."""
    expected = f"expected text of 1 to {longest} characters"

    def check(value: object) -> str | None:
        return None if isinstance(value, str) and 0 < len(value) <= longest else expected

    return check


def integer(least: int, most: int = INT_MAX) -> Check:
    """Accept an integer in a closed range; never a bool."""
    expected = f"expected an integer from {least} to {most}"

    def check(value: object) -> str | None:
        return None if type(value) is int and least <= value <= most else expected

    return check


def one_of(*values: object) -> Check:
    """One of a few constants."""
    expected = "expected one of " + ", ".join(map(str, values))
    return lambda value: None if isinstance(value, str) and value in values else expected


def or_null(check: Check) -> Check:
    """Accept null too."""
    return lambda value: None if value is None else check(value)


def list_of(check: Check) -> Check:
    """Accept a list whose every item passes."""

    def check_list(value: object) -> str | None:
        if not isinstance(value, list | tuple) or len(value) > LIST_MAX:
            return f"expected a list of at most {LIST_MAX}"
        return next((reason for item in value if (reason := check(item))), None)

    return check_list


def base64_of(length: int) -> Check:
    """Standard base64 of exactly `length` bytes, in its one canonical spelling."""

    def check(value: object) -> str | None:
        decoded = decode_base64(value) if isinstance(value, str) else None
        fits = decoded is not None and len(decoded) == length
        return None if fits else f"expected base64 of {length} bytes"

    return check


def decode_base64(value: str) -> bytes | None:
    """Bytes of standard base64 (RFC 4648, section 4); None for any other spelling of them."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == value else None


_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def time_utc(value: object) -> str | None:
    """Check for `2026-11-25T03:20:00.123Z`, a real instant."""
    expected = "expected a UTC time such as 2026-11-25T03:20:00.123Z"
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return expected
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return expected
    return None


def day(value: object) -> str | None:
    """Check for `2026-11-25`, a real day."""
    expected = "expected a day such as 2026-11-25"
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return expected
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return expected
    return None


HEX64: Final = matching("[0-9a-f]{64}", "64 hex digits")
KEY_ID: Final = matching("[0-9a-f]{32}", "a key id of 32 hex digits")
DIGEST: Final = matching("sha256:[0-9a-f]{64}", "sha256: and 64 hex digits")
FIELD_NAME: Final = matching(r"[A-Za-z0-9_][A-Za-z0-9_.:\-]{0,127}", "a plain field name")
TOKEN: Final = matching(r"[\x21-\x7e]{1,128}", "1 to 128 visible ASCII characters")
NAME: Final = text(128)
REASON: Final = text(2000)
MOMENT: Final = text(64)  # a time as the caller wrote it
LEAF: Final = integer(0)
ROW_ID: Final = matching(r"(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,4})", "a row such as 17.3")


# --- tables ----------------------------------------------------------------------------------

BODY: Final[Fields] = {
    "actor_id": text(256),
    "clock_source": NAME,
    "data": lambda value: None if isinstance(value, dict) else "expected an object",
    "event_time": time_utc,
    "event_time_granularity_ms": integer(1),
    "idempotency_key": or_null(TOKEN),
    "origin": text(256),
    "parents": list_of(LEAF),
    "producer": KEY_ID,
    "regime_tags": list_of(NAME),
    "retain_until": or_null(time_utc),
    "retention_class": NAME,
    "schema": one_of(ENTRY_SCHEMA),
    "seq": LEAF,
    "type": NAME,
}

_HOLD: Fields = {"hold_id": TOKEN, "reason": REASON, "authority": text(256)}
_DECISION: Fields = {"model_digest": DIGEST, "name": NAME, "reason": REASON}
_OF_ALARM: Fields = {"alarm_leaf": LEAF, "comment": REASON}
_LIMIT: Fields = {
    "model_digest": DIGEST,
    "metric": NAME,
    "limit": NAME,
    "side": NAME,
    "tolerance": NAME,
    "window": NAME,
    "minimum_labels": integer(0),
    "detector": NAME,
    "replaces": or_null(LEAF),
    "reason": or_null(REASON),
    "second_person": or_null(text(256)),
}

_KEY: Fields = {
    "key_id": KEY_ID,
    "public_key": base64_of(KEY_BYTES),
    "role": one_of(*Role),
    "holder": text(256),
    "possession": base64_of(SIGNATURE_BYTES),
}

DATA: Final[Mapping[str, Fields]] = {
    "key.added": _KEY,
    "key.rotated": {**_KEY, "replaces": KEY_ID},
    "key.revoked": {"key_id": KEY_ID, "reason": REASON},
    "model.published": {
        "model_digest": DIGEST,
        "name": NAME,
        "version": NAME,
        "provenance_digest": DIGEST,
    },
    # A validator's conclusion, the tier it put the model in, and the day it wants to look again.
    "model.validated": {
        **_DECISION,
        "conclusion": one_of("satisfactory", "conditions", "unsatisfactory"),
        "materiality": one_of("high", "medium", "low"),
        "next_review": day,
        "report_digest": or_null(DIGEST),
    },
    "model.approved": _DECISION,
    "model.promoted": {**_DECISION, "alias": NAME},
    "model.withdrawn": _DECISION,
    "prediction": {
        "model_digest": DIGEST,
        "model_name": NAME,
        "policy_digest": DIGEST,
        "environment_digest": DIGEST,
        "verification_mode": NAME,
        "as_of": or_null(MOMENT),
        "caller_reference": or_null(HEX64),
        "row_count": integer(1, ROWS_MAX),
    },
    "refusal": {"cause": NAME, "model_digest": or_null(DIGEST), "detail": REASON},
    "outcome": {
        "prediction_leaf": LEAF,
        "row_index": integer(0, ROWS_MAX - 1),
        "value": HEX64,
        "observed_at": MOMENT,
        "kind": NAME,
        "revises": or_null(LEAF),
        "reason": or_null(REASON),
    },
    "limits": _LIMIT,
    "policy": {**_LIMIT, "on_alarm": one_of("alert", "shadow", "blocked")},
    # `about`: a model's digest, or a job; the leaves are those of the outcomes that were read.
    "alarm": {
        "about": NAME,
        "cause": NAME,
        "severity": one_of("amber", "red"),
        "policy_leaf": or_null(LEAF),
        "metric": or_null(NAME),
        "detector": or_null(NAME),
        "guarantee": or_null(REASON),
        "detail": REASON,
        "since": or_null(MOMENT),
        "first_leaf": or_null(LEAF),
        "last_leaf": or_null(LEAF),
        "count": LEAF,
        "evidence_digest": or_null(DIGEST),
    },
    "alarm.acknowledged": _OF_ALARM,
    "alarm.commented": _OF_ALARM,
    "alarm.closed": _OF_ALARM,
    "alarm.delivered": {
        "alarm_leaf": LEAF,
        "channel": NAME,
        "attempts": integer(1),
        "result": one_of("delivered", "given_up"),
    },
    "model.halted": {**_DECISION, "state": one_of("shadow", "blocked"), "alarm_leaf": LEAF},
    "model.resumed": {**_DECISION, "halted_leaf": LEAF, "second_person": text(256)},
    "drift": {
        "model_digest": DIGEST,
        "first_leaf": LEAF,
        "last_leaf": LEAF,
        "reference_digest": DIGEST,
        "configuration_digest": DIGEST,
        "library": NAME,
        "version": NAME,
        "result_digest": DIGEST,
    },
    "report": {"report_kind": NAME, "checkpoint_size": LEAF, "report_digest": DIGEST},
    "seal": {
        "period": NAME,
        "first_index": LEAF,
        "count": LEAF,
        "root": HEX64,
        "checkpoint_size": LEAF,
    },
    # Openings destroyed: of predicted rows, and of outcomes (whose only row is 0).
    "erasure": {"rows": list_of(ROW_ID), "reason": REASON, "authority": text(256)},
    # An RFC 3161 authority's reply over the exact bytes of an earlier entry.
    "timestamp": {"leaf": LEAF, "token_digest": DIGEST, "authority": text(512)},
    "hold.placed": _HOLD,
    "hold.lifted": _HOLD,
}

# A prediction of one row carries it; one of many carries the root over their leaves.
ONE_ROW: Final = "row"
MANY_ROWS: Final = "rows_root"

# None: the key that the entry replaces, whatever its role.
SIGNER_ROLES: Final[Mapping[str, Role | None]] = {
    "key.added": Role.OPERATOR,
    "key.rotated": None,
    "key.revoked": Role.OPERATOR,
    "model.published": Role.PUBLISHER,
    "model.validated": Role.APPROVER,
    "model.approved": Role.APPROVER,
    "model.promoted": Role.APPROVER,
    "model.withdrawn": Role.APPROVER,
    "prediction": Role.PRODUCER,
    "refusal": Role.PRODUCER,
    "outcome": Role.OUTCOME_SOURCE,
    "limits": Role.APPROVER,
    "policy": Role.APPROVER,
    "alarm": Role.REPORTER,
    "alarm.acknowledged": Role.APPROVER,
    "alarm.commented": Role.APPROVER,
    "alarm.closed": Role.APPROVER,
    "alarm.delivered": Role.REPORTER,
    "model.halted": Role.REPORTER,
    "model.resumed": Role.APPROVER,
    "drift": Role.REPORTER,
    "report": Role.REPORTER,
    "seal": Role.REPORTER,
    "timestamp": Role.REPORTER,
    "erasure": Role.OPERATOR,
    "hold.placed": Role.OPERATOR,
    "hold.lifted": Role.OPERATOR,
}


def check_fields(value: Mapping[str, object], fields: Fields, where: str) -> None:
    """Hold an object against a table: exactly its keys, each passing. Raises RecordError."""
    if value.keys() != fields.keys():
        missing, unknown = (
            sorted(fields.keys() - value.keys()),
            sorted(value.keys() - fields.keys()),
        )
        raise RecordError(where, f"missing {missing}, unknown {unknown}")
    for name, check in fields.items():
        reason = check(value[name])
        if reason:
            raise RecordError(f"{where}.{name}", f"{reason}, got {value[name]!r:.80}")
