"""What an entry may say: its common fields, the fields of each type, and who may sign it.

One table per question, read by the writer before signing and by the auditor after. A type's data
has exactly the keys listed here: an unknown key is refused as firmly as a missing one, so nothing
can hide in an entry. A changed table is a new schema version (docs/formats/entry.md).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
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

# How the tables below call a check; `?` after it accepts null too, `*` a list, `|` divides words.
_CHECKS: Final[Fields] = {
    "object": lambda value: None if isinstance(value, dict) else "expected an object",
    "time": time_utc,
    "day": day,
    "hex64": HEX64,
    "key_id": KEY_ID,
    "digest": DIGEST,
    "token": TOKEN,
    "name": NAME,
    "reason": REASON,
    "moment": MOMENT,
    "leaf": LEAF,
    "row_id": ROW_ID,
    "text256": text(256),
    "text512": text(512),
    "count": integer(1),
    "rows": integer(1, ROWS_MAX),
    "row": integer(0, ROWS_MAX - 1),
    "public_key": base64_of(KEY_BYTES),
    "signature": base64_of(SIGNATURE_BYTES),
    "role": one_of(*Role),
    "schema": one_of(ENTRY_SCHEMA),
}

_BODY: Final = """
actor_id:text256 clock_source:name data:object event_time:time event_time_granularity_ms:count
idempotency_key:token? origin:text256 parents:leaf* producer:key_id regime_tags:name*
retain_until:time? retention_class:name schema:schema seq:leaf type:name
"""

# Each type of entry: who signs it, then the fields of its data. `@` names fields in common.
# `replaced`: the key that the entry replaces, whatever its role.
_TYPES: Final = """
@key      key_id:key_id public_key:public_key role:role holder:text256 possession:signature
@decision model_digest:digest name:name reason:reason
@limit    model_digest:digest metric:name limit:name side:name tolerance:name window:name
          minimum_labels:leaf detector:name replaces:leaf? reason:reason? second_person:text256?

key.added          operator       @key
key.rotated        replaced       @key replaces:key_id
key.revoked        operator       key_id:key_id reason:reason
model.published    publisher      model_digest:digest name:name version:name
                                  provenance_digest:digest
# A validator's conclusion, the tier it put the model in, and the day it wants to look again.
model.validated    approver       @decision conclusion:satisfactory|conditions|unsatisfactory
                                  materiality:high|medium|low next_review:day report_digest:digest?
model.approved     approver       @decision
model.promoted     approver       @decision alias:name
model.withdrawn    approver       @decision
prediction         producer       model_digest:digest model_name:name policy_digest:digest
                                  environment_digest:digest verification_mode:name as_of:moment?
                                  caller_reference:hex64? row_count:rows
refusal            producer       cause:name model_digest:digest? detail:reason
outcome            outcome_source prediction_leaf:leaf row_index:row value:hex64
                                  observed_at:moment kind:name revises:leaf? reason:reason?
limits             approver       @limit
policy             approver       @limit on_alarm:alert|shadow|blocked
# `about`: a model's digest, or a job; the leaves are those of the outcomes that were read.
alarm              reporter       about:name cause:name severity:amber|red policy_leaf:leaf?
                                  metric:name? detector:name? guarantee:reason? detail:reason
                                  since:moment? first_leaf:leaf? last_leaf:leaf? count:leaf
                                  evidence_digest:digest?
alarm.acknowledged approver       alarm_leaf:leaf comment:reason
alarm.commented    approver       alarm_leaf:leaf comment:reason
alarm.closed       approver       alarm_leaf:leaf comment:reason
alarm.delivered    reporter       alarm_leaf:leaf channel:name attempts:count
                                  result:delivered|given_up
model.halted       reporter       @decision state:shadow|blocked alarm_leaf:leaf
model.resumed      approver       @decision halted_leaf:leaf second_person:text256
drift              reporter       model_digest:digest first_leaf:leaf last_leaf:leaf
                                  reference_digest:digest configuration_digest:digest
                                  library:name version:name result_digest:digest
report             reporter       report_kind:name checkpoint_size:leaf report_digest:digest
seal               reporter       period:name first_index:leaf count:leaf root:hex64
                                  checkpoint_size:leaf
# Openings destroyed: of predicted rows, and of outcomes (whose only row is 0).
erasure            operator       rows:row_id* reason:reason authority:text256
# An RFC 3161 authority's reply over the exact bytes of an earlier entry.
timestamp          reporter       leaf:leaf token_digest:digest authority:text512
hold.placed        operator       hold_id:token reason:reason authority:text256
hold.lifted        operator       hold_id:token reason:reason authority:text256
"""


def _check_called(called: str) -> Check:
    if called[-1] == "?":
        return or_null(_check_called(called[:-1]))
    if called[-1] == "*":
        return list_of(_check_called(called[:-1]))
    return one_of(*called.split("|")) if "|" in called else _CHECKS[called]


def _fields_of(words: list[str], groups: Mapping[str, list[str]]) -> Fields:
    named = [field for word in words for field in groups.get(word, [word])]
    return {name: _check_called(called) for name, _, called in (f.partition(":") for f in named)}


def _read_types() -> Iterator[tuple[str, Role | None, Fields]]:
    lines = [line for line in _TYPES.splitlines() if line and not line.startswith("#")]
    groups: dict[str, list[str]] = {}
    for line in "\n".join(lines).replace("\n ", " ").splitlines():
        name, *words = line.split()
        if name.startswith("@"):
            groups[name] = words
        else:
            role = None if words[0] == "replaced" else Role(words[0])
            yield name, role, _fields_of(words[1:], groups)


BODY: Final = _fields_of(_BODY.split(), {})
DATA: Final[Mapping[str, Fields]] = {kind: fields for kind, _, fields in _read_types()}
SIGNER_ROLES: Final[Mapping[str, Role | None]] = {kind: role for kind, role, _ in _read_types()}

# A prediction of one row carries it; one of many carries the root over their leaves.
ONE_ROW: Final = "row"
MANY_ROWS: Final = "rows_root"


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
