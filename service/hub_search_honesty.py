"""What the newest honesty report says of each model, as a facet. Reads no outcome."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ledger.record import parse_entry
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from service.assembly import Assembly
    from service.register import Line

WORDS: Final = {
    "VERIFIED": "run again, same answers",
    "FAILED": "run again, other answers",
    "NOT_CHECKED": "not run again",
}


def honesty_facet(verdicts: Mapping[str, str], lines: Iterable[Line]) -> dict[str, str]:
    """Model name -> the state of its executions in the newest report, in words."""
    return {
        line.name: WORDS.get(verdicts.get(line.model_digest, "NOT_CHECKED"), "not run again")
        for line in lines
    }


def honesty_verdicts(house: Assembly) -> dict[str, str]:
    """Model digest -> the newest report's verdict on its executions; empty without a report."""
    for stored in house.ledger.entries(type="report", ref="honesty", newest=True, limit=1):
        digest = parse_entry(stored.entry).body["data"]["report_digest"]
        try:
            report = json.loads(house.blobs.get(digest))
        except ModelError:
            return {}
        return {found["model_digest"]: found["verdict"] for found in report["executions"]}
    return {}
