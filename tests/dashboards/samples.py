"""Sample JSON in the shapes of service/api: a house with four models, one of them alarmed.

Figures are made up by fixed formulas; hashes and paths are those of a real small tree, so a path
laid out by the page can be walked to the root by a test.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

ORIGIN = "bank.example/decisions"
NAMES = {
    "credit-default": "credit",
    "value-at-risk": "value_at_risk",
    "value-at-risk-baseline": "value_at_risk",
    "trade-signal": "signal",
}
SIZE = 173
TYPES = (
    ["key.added"] * 7
    + ["model.published", "model.approved", "model.promoted"] * 4
    + ["limits"] * 5
    + ["prediction", "prediction", "outcome"] * 48
    + ["drift", "seal", "report", "report", "refusal"]
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest(text: str) -> str:
    return f"sha256:{sha(text)}"


def at(leaf: int) -> str:
    return f"2026-11-25T{3 + leaf // 60:02d}:{leaf % 60:02d}:07.{leaf % 1000:03d}Z"


def leaf_hash(leaf: int) -> bytes:
    return hashlib.sha256(b"\x00" + f"entry {leaf}".encode()).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """The recursive definition of RFC 9162, 2.1.1."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(hashes[:k]) + root_of(hashes[k:])).digest()


def path_of(index: int, hashes: list[bytes]) -> list[bytes]:
    """The recursive definition of RFC 9162, 2.1.3.1, lowest first."""
    if len(hashes) == 1:
        return []
    k = 1 << (len(hashes) - 1).bit_length() - 1
    if index < k:
        return [*path_of(index, hashes[:k]), root_of(hashes[k:])]
    return [*path_of(index - k, hashes[k:]), root_of(hashes[:k])]


LEAVES = [leaf_hash(i) for i in range(SIZE)]


def checkpoint() -> str:
    root = base64.b64encode(root_of(LEAVES)).decode()
    signature = base64.b64encode(hashlib.sha512(root.encode()).digest() + b"keyh").decode()
    return f"{ORIGIN}\n{SIZE}\n{root}\n\n\N{EM DASH} {ORIGIN} {signature}\n"


def receipt(leaf: int) -> dict[str, Any]:
    return {
        "format": "assay/receipt/v1",
        "state": "published",
        "leaf_index": leaf,
        "entry": json.dumps({"body": body(leaf), "sig": "q83v" * 22}),
        "inclusion": {"tree_size": SIZE, "path": [p.hex() for p in path_of(leaf, LEAVES)]},
        "checkpoint": checkpoint(),
    }


def body(leaf: int) -> dict[str, Any]:
    data: dict[str, Any] = {"model_digest": digest("value-at-risk"), "model_name": "value-at-risk"}
    if TYPES[leaf] == "outcome":
        data = {"prediction_leaf": leaf - 1, "row_index": 0, "value": sha("v"), "revises": None}
    return {
        "schema": "assay/entry/v1",
        "type": TYPES[leaf],
        "origin": ORIGIN,
        "producer": sha("producer")[:32],
        "seq": leaf,
        "actor_id": "desk:rates-7",
        "event_time": at(leaf),
        "event_time_granularity_ms": 1,
        "clock_source": "system",
        "idempotency_key": None,
        "parents": [],
        "retention_class": "standard",
        "regime_tags": ["mar32", "sr11-7"],
        "data": {**data, "inputs": {"return_1d": sha("a"), "range_20d": sha("b")}},
    }


def gone_json() -> dict[str, Any]:
    return {
        "actor_id": "risk:okafor",
        "event_time": at(150),
        "reason": "leaks the target",
        "leaf_index": 150,
    }


def register() -> dict[str, Any]:
    """Two models: one overdue, made by a vendor; one withdrawn."""
    line = {
        "name": "value-at-risk",
        "version": "1.2.0",
        "model_digest": digest("value-at-risk"),
        "status": "approved",
        "aliases": ["champion"],
        "versions": 2,
        "owner": "market risk",
        "purpose": "one-day loss of a trading book",
        "kind": "value_at_risk",
        "licence": "apache-2.0",
        "vendor": "a vendor",
        "published_by": "dana",
        "published_leaf": 7,
        "materiality": "high",
        "validator": "anna",
        "validated_leaf": 8,
        "validated_at": at(8),
        "conclusion": "conditions",
        "approved_by": "anna",
        "next_review": "2026-06-30",
        "withdrawn": None,
        "overdue": ["review was due on 2026-06-30"],
    }
    other = {
        **line,
        "name": "trade-signal",
        "model_digest": digest("trade-signal"),
        "status": "withdrawn",
        "aliases": [],
        "vendor": None,
        "materiality": None,
        "validator": None,
        "validated_leaf": None,
        "next_review": None,
        "withdrawn": gone_json(),
        "overdue": [],
    }
    return {"as_of": at(172), "overdue": 1, "models": [line, other]}


def reliance(name: str, *, gone: bool = False) -> dict[str, Any]:
    leaves = [40, 41, 43]
    return {
        "name": name,
        "model_digest": digest(name),
        "status": "withdrawn" if gone else "approved",
        "withdrawn": gone_json() if gone else None,
        "predictions": 120,
        "first_leaf": 40,
        "last_leaf": 170,
        "after_withdrawal": 0 if gone else None,
        "callers": [
            {"actor_id": "desk-1", "predictions": 119},
            {"actor_id": "b", "predictions": 1},
        ],
        "callers_of_newest": 120,
        "page": [
            {
                "prediction_id": str(leaf),
                "leaf_index": leaf,
                "event_time": at(leaf),
                "actor_id": "desk-1",
                "row_count": 1,
            }
            for leaf in leaves
        ],
        "next": 45,
    }


def house() -> dict[str, Any]:
    """Every answer by path; a copy, to be changed at will."""
    found: dict[str, Any] = pickle.loads(_house())
    return found


@functools.cache
def _house() -> bytes:
    found: dict[str, Any] = {
        "/v1/models": {"models": [catalog_line(name) for name in NAMES]},
        "/v1/ledger": ledger(),
        "/v1/ledger/entries": {"entries": [entry_line(i) for i in range(SIZE)]},
        "/v1/reports/honesty": honesty(),
        "/v1/reports/correctness": stored("correctness"),
        "/v1/predictions/40": prediction(40, rows=3),
        "/v1/predictions/40.1": prediction(40, rows=3, row=1),
        "/v1/predictions/64.0": prediction(64, rows=1),
        "/openapi.json": stored("openapi"),
        "/v1/jobs": {
            "scheduler": {"holder": "risk-1:4711", "heard_s_ago": 4},
            "jobs": [
                {
                    "job": "correctness",
                    "started_at": at(171),
                    "finished_at": at(171),
                    "succeeded_at": at(171),
                    "failures": 0,
                    "result": "report at leaf 171",
                    "overdue_since": None,
                },
                {
                    "job": "drift",
                    "started_at": at(158),
                    "finished_at": None,
                    "succeeded_at": None,
                    "failures": 2,
                    "result": None,
                    "overdue_since": at(160),
                },
            ],
        },
        "/v1/halts": {
            "halts": [
                {
                    "model_digest": digest("value-at-risk"),
                    "name": "value-at-risk",
                    "state": "blocked",
                    "alarm_leaf": 172,
                    "halted_leaf": 172,
                    "reason": "a red alarm",
                }
            ]
        },
        "/v1/hub/search": stored("hub"),
        "/v1/hub/register": register(),
        f"/v1/hub/models/{digest('value-at-risk')}/reliance": reliance("value-at-risk"),
        f"/v1/hub/models/{digest('trade-signal')}/reliance": reliance("trade-signal", gone=True),
        "/v1/me": {"actor_id": "risk:okafor", "scopes": ["risk"]},
        "/v1/alarms": {
            "alarms": [alarm(172), alarm(160, "closed"), job_alarm()],
            "counts": {"open": 2, "acknowledged": 0, "closed": 1},
        },
        "/v1/alarms/172": one_alarm(alarm(172)),
        "/v1/alarms/160": one_alarm(alarm(160, "closed")),
        "/v1/alarms/158": one_alarm(job_alarm()),
    }
    for leaf in range(SIZE):
        found[f"/v1/ledger/entries/{leaf}"] = {
            "leaf_index": leaf,
            "leaf_hash": leaf_hash(leaf).hex(),
            "entry": {"body": body(leaf), "sig": "q83v" * 22},
            "entry_text": receipt(leaf)["entry"],
            "receipt": receipt(leaf),
        }
    for name in NAMES:
        found[f"/v1/models/{name}"] = model(name)
        found[f"/v1/models/{name}/drift"] = drift()
    found["/v1/reports/correctness/171"] = found["/v1/reports/correctness"]
    found["/v1/models/value-at-risk/comparison"] = {"comparisons": [comparison()]}
    found["/v1/models/credit-default/comparison"] = {"comparisons": []}
    found["/v1/proposals"] = {"proposals": [proposal("risk:meyer"), proposal("x", "expired")]}
    found["/v1/policies"] = {"policies": [policy(19, replaced_at=20), policy(20)]}
    report = found["/v1/reports/correctness"]["report"]
    next(m for m in report["evaluated_models"] if m["model_name"] == "value-at-risk")[
        "tables"
    ].append(days())
    return pickle.dumps(found)


def days() -> dict[str, Any]:
    """Forty days against their forecast, every ninth beyond it."""
    rows = [
        [f"2008-{9 + n // 28:02d}-{n % 28 + 1:02d}", f"{1.1 - n % 9 * 0.6:.4f}", "-3.1000",
         "beyond" if n % 9 == 8 else ""]
        for n in range(40)
    ]  # fmt: skip
    columns = ["Day", "P&L in percent", "VaR 99% as P&L", "Exceeded"]
    return {"title": "Newest days against the 99% VaR", "columns": columns, "rows": rows}


def catalog_line(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": NAMES[name],
        "intended_use": "One-day limits of a market book; not for capital.",
        "status": "approved",
        "aliases": {"champion": digest(name)},
        "latest_digest": digest(name),
        "published_leaf": 7,
    }


def ledger() -> dict[str, Any]:
    counts: dict[str, int] = {}
    for kind in TYPES:
        counts[kind] = counts.get(kind, 0) + 1
    return {
        "origin": ORIGIN,
        "vkey": f"{ORIGIN}+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "tree_size": SIZE,
        "root_hash": root_of(LEAVES).hex(),
        "checkpoint": checkpoint(),
        "last_commit_at": at(SIZE - 1),
        "counts": counts,
        "seals": [
            {"leaf_index": 169, "period": "2008-09-15", "count": 148, "root": sha("seal")},
        ],
    }


def entry_line(leaf: int) -> dict[str, Any]:
    return {
        "leaf_index": leaf,
        "type": TYPES[leaf],
        "event_time": at(leaf),
        "producer": sha("producer")[:32],
        "actor_id": "desk:rates-7",
        "leaf_hash": leaf_hash(leaf).hex(),
        "bytes": 900 + leaf,
    }


def stored(name: str) -> dict[str, Any]:
    """One of the files in `sample/`."""
    found: dict[str, Any] = json.loads((HERE / "sample" / f"{name}.json").read_text())
    return found


def honesty(failing: str | None = None) -> dict[str, Any]:
    """A report over 170 leaves; with `failing`, that check and trade-signal's executions fail."""
    found = stored("honesty")
    if failing:
        report = found["report"]
        broken = next(c for c in report["checks"] if c["check"] == failing)
        broken["verdict"] = "FAILED"
        broken["counts"]["failed"] = 3
        run = next(e for e in report["executions"] if e["model_digest"] == digest("trade-signal"))
        run["verdict"] = "FAILED"
        run["counts"]["different"] = 3
        report["findings"] = [
            {
                "check": failing,
                "leaf": 64,
                "expected": "183500 (the model, run again)",
                "got": "91750",
                "subject": "prediction 64.0, output var_990_pct_q16",
            }
        ]
    return found


def model(name: str) -> dict[str, Any]:
    steps = [
        ("model.published", None),
        ("model.approved", "backtest reviewed"),
        ("model.promoted", "goes live"),
    ]
    return {
        "name": name,
        "kind": NAMES[name],
        "aliases": {"champion": digest(name)},
        "versions": [
            {
                "model_digest": digest(name),
                "version": "1.0.0",
                "status": "approved",
                "published_leaf": 7,
                "published_at": at(7),
                "approved_leaf": 8,
                "manifest": {
                    "task": "One-day value at risk",
                    "intended_use": "One-day limits of a market book; not for capital.",
                    "owner": "Quantitative risk",
                    "licence": "Apache-2.0",
                    "format": "tree-ensemble-q16/v1",
                    "environment_digest": digest("environment"),
                    "features": [{"name": "return_1d"}, {"name": "range_20d"}],
                },
            }
        ],
        "history": [
            {
                "leaf_index": 7 + i,
                "type": kind,
                "event_time": at(7 + i),
                "actor_id": ["quant:lee", "risk:okafor", "risk:okafor"][i],
                "model_digest": digest(name),
                "alias": "champion" if kind == "model.promoted" else None,
                "reason": reason,
            }
            for i, (kind, reason) in enumerate(steps)
        ],
    }


def drift() -> dict[str, Any]:
    def column(name: str, value: float | None) -> dict[str, Any]:
        return {
            "column": name,
            "statistic": "wasserstein",
            "value": None if value is None else f"{value:.6f}",
            "threshold": "0.100000",
            "drifted": None if value is None else value >= 0.1,
            "psi": None if value is None else f"{value * 0.4:.6f}",
            "psi_limit": "0.034000",
            "psi_above_limit": None if value is None else value * 0.4 > 0.034,
            "current_rows": 756,
            "current_missing_share": "0.000000" if value is not None else "1.000000",
            "reference_rows": 1258,
            "reference_missing_share": "0.000000",
        }

    return {
        "results": [
            {
                "leaf_index": 168,
                "event_time": at(168),
                "model_digest": digest("value-at-risk"),
                "first_leaf": 24,
                "last_leaf": 166,
                "reference_digest": digest("reference"),
                "configuration_digest": digest("configuration"),
                "library": "evidently",
                "version": "0.7.23",
                "share_drifted": "0.666667",
                "columns": [
                    column("return_1d", 0.21),
                    column("range_20d", 0.87),
                    column("vix", 0.04),
                    column("carry", None),
                ],
            }
        ]
    }


def policy(leaf: int, replaced_at: int | None = None) -> dict[str, Any]:
    return {
        "leaf_index": leaf,
        "signed_at": at(leaf),
        "signed_by": "risk:okafor",
        "second_person": "risk:meyer" if replaced_at is None else None,
        "model_digest": digest("value-at-risk"),
        "metric": "exceedances_990_250d",
        "limit": "9" if replaced_at is None else "7",
        "side": "max",
        "tolerance": "0",
        "window": "250",
        "minimum_labels": 250,
        "detector": "threshold",
        "run_length": None,
        "on_alarm": "blocked",
        "replaces": 19 if replaced_at is None else None,
        "replaced_at": replaced_at,
        "reason": "the committee of March" if replaced_at is None else None,
    }


def comparison() -> dict[str, Any]:
    """What GET /v1/models/<name>/comparison says of one challenger."""
    return {
        "leaf_index": 167,
        "issued_at": at(167),
        "name": "value-at-risk",
        "champion": {"model_digest": digest("value-at-risk"), "version": "1.0.0"},
        "challenger": {"model_digest": digest("challenger"), "version": "1.1.0"},
        "pairs": 504,
        "labelled": 500,
        "waiting": 3,
        "window": {},
        "differences": [
            difference("Quantile loss at 99%", "-0.0120", "-0.0200", "-0.0040", "challenger"),
            difference("Quantile loss at 97.5%", "0.0010", "-0.0030", "0.0050", None),
        ],
        "tables": [
            {
                "title": "Decisions, pair by pair",
                "columns": ["Champion", "Challenger", "Pairs"],
                "rows": [["forecast", "forecast", "500"]],
            }
        ],
        "does_not_say": "A difference on these requests is no promise for others.",
    }


def difference(title: str, value: str, low: str, high: str, finding: str | None) -> dict[str, Any]:
    return {
        "metric": title.lower(),
        "title": title,
        "meaning": "What a forecast of a quantile is judged by.",
        "unit": "percent",
        "interval": "95%, Newey-West",
        "n": 500,
        "value": value,
        "low": low,
        "high": high,
        "champion": "0.0900",
        "challenger": "0.0780",
        "evidence": {
            "challenger_better": "41.20" if finding else "1.10",
            "champion_better": "0.10",
            "needed": "20",
            "finding": finding,
        },
    }


def proposal(by: str, state: str = "waiting") -> dict[str, Any]:
    return {
        "proposal_id": sha(by)[:16],
        "kind": "policy",
        "state": state,
        "proposed_by": by,
        "proposed_at": at(170),
        "decided_by": None,
        "decided_at": None,
        "leaf_index": None,
        "asked": {
            "model_digest": digest("value-at-risk"),
            "terms": {k: v for k, v in policy(21).items() if k in POLICY_TERMS},
            "on_alarm": "shadow",
            "replaces": 20,
            "reason": "a wider book",
        },
    }


POLICY_TERMS = ("metric", "limit", "side", "tolerance", "window", "minimum_labels", "detector")


def alarm(leaf: int, state: str = "open") -> dict[str, Any]:
    said = {"leaf_index": leaf + 1, "by": "risk:okafor", "at": at(leaf + 1), "comment": "seen"}
    return {
        "leaf_index": leaf,
        "raised_at": at(leaf),
        "state": state,
        "severity": "red",
        "cause": "limit",
        "about": digest("value-at-risk"),
        "model": {"name": "value-at-risk", "model_digest": digest("value-at-risk")},
        "policy_leaf": 20,
        "metric": "exceedances_990_250d",
        "detector": "threshold",
        "guarantee": "none: a threshold looked at repeatedly is crossed by chance in the end",
        "detail": "value-at-risk: exceedances_990_250d above the limit 9: first crossed at "
        "prediction 61.0 with 10; now 31",
        "evidence": {
            "since": "2007-02-27T00:00:00.000Z",
            "first_outcome_leaf": 26,
            "last_outcome_leaf": 167,
            "count": 250,
            "digest": digest("evidence"),
        },
        "acknowledged": None if state == "open" else said,
        "closed": said if state == "closed" else None,
        "halted": None,
    }


def job_alarm() -> dict[str, Any]:
    blank = ("policy_leaf", "metric", "detector", "guarantee", "acknowledged", "closed", "halted")
    return {
        **dict.fromkeys(blank),
        "leaf_index": 158,
        "raised_at": at(158),
        "state": "open",
        "severity": "amber",
        "cause": "job_failed",
        "about": "job:drift",
        "model": None,
        "detail": "the drift measurement ran past its time limit of 120 s",
        "evidence": {
            "since": None,
            "first_outcome_leaf": None,
            "last_outcome_leaf": None,
            "count": 0,
            "digest": None,
        },
    }


def one_alarm(found: dict[str, Any]) -> dict[str, Any]:
    leaf, limited = found["leaf_index"], found["cause"] == "limit"
    history = [
        {
            "leaf_index": leaf,
            "type": "alarm.delivered",
            "event_time": at(leaf),
            "actor_id": "house:scheduler",
            "channel": "mail",
            "attempts": 2,
            "result": "delivered",
        }
    ]
    if found["closed"]:
        act = {"event_time": at(leaf), "actor_id": "risk:okafor", "comment": "feed was late"}
        history += [
            {"leaf_index": leaf + 1, "type": "alarm.acknowledged", **act},
            {"leaf_index": leaf + 2, "type": "alarm.closed", **act},
        ]
    estimate = stored("correctness")["report"]["evaluated_models"][1]["estimates"][0]
    shown = {k: v for k, v in estimate.items() if k != "history"}
    return {
        "alarm": found,
        "history": history,
        "policy": {"leaf_index": 20, "limit": "9", "side": "max", "on_alarm": "blocked"}
        if limited
        else None,
        "evidence": {"estimate": shown, "window": {}} if limited else None,
        "receipt": receipt(leaf),
    }


def prediction(
    leaf: int, *, rows: int, row: int | None = None, inputs: bool = False
) -> dict[str, Any]:
    wanted = range(rows) if row is None else [row]
    credit_row = rows == 1
    leaves = [f'{{"row_index":{i}}}' for i in range(rows)]
    hashes = [hashlib.sha256(b"\x00" + text.encode()).digest() for text in leaves]
    reasons = [
        {"code": "PAYMENT_STATUS", "text": "Recent payments were late", "contribution_q16": 61200},
        {
            "code": "UTILISATION",
            "text": "Balances are high against limits",
            "contribution_q16": 23911,
        },
        {"code": "LIMIT", "text": "The credit limit is low", "contribution_q16": 9020},
        {"code": "BILL_TREND", "text": "Bills were growing", "contribution_q16": -1200},
    ]
    return {
        "prediction_id": str(leaf) if row is None else f"{leaf}.{row}",
        "leaf_index": leaf,
        "event_time": at(leaf),
        "as_of": None if credit_row else "2008-09-15",
        "model": {
            "name": "credit-default" if credit_row else "value-at-risk",
            "model_digest": digest("credit-default" if credit_row else "value-at-risk"),
        },
        "verification_mode": "signed",
        "rows": [
            {
                "prediction_id": f"{leaf}.{i}",
                "row_index": i,
                "decision": "decline" if credit_row else "forecast",
                "outputs": {"margin_q16": 31877}
                if credit_row
                else {"var_990_pct_q16": 183501 + i, "var_975_pct_q16": 142002},
                "derived": {"probability_of_default": "0.6192"}
                if credit_row
                else {"var_990_pct": "2.8000"},
                "reasons": reasons if credit_row else [],
                "inputs": {"return_1d": "-4.71", "carry": None} if inputs else None,
                "outcome": {
                    "value": "1",
                    "observed_at": "2026-11-25",
                    "leaf_index": 65,
                    "revises": None,
                }
                if credit_row
                else None,
            }
            for i in wanted
        ],
        "receipt": receipt(leaf),
        "row_proofs": [
            {
                "row": leaves[i],
                "row_index": i,
                "row_count": rows,
                "path": [p.hex() for p in path_of(i, hashes)],
            }
            for i in wanted
        ]
        if rows > 1
        else None,
    }
