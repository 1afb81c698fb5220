"""Sample JSON in the shapes of service/api: a house with four models, one of them alarmed.

Figures are made up by fixed formulas; hashes and paths are those of a real small tree, so a path
laid out by the page can be walked to the root by a test.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from typing import Any

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


def house() -> dict[str, Any]:
    """Every answer by path."""
    found: dict[str, Any] = {
        "/v1/models": {"models": [catalog_line(name) for name in NAMES]},
        "/v1/ledger": ledger(),
        "/v1/ledger/entries": {"entries": [entry_line(i) for i in range(SIZE)]},
        "/v1/reports/honesty": honesty(),
        "/v1/reports/correctness": correctness(),
        "/v1/predictions/40": prediction(40, rows=3),
        "/v1/predictions/40.1": prediction(40, rows=3, row=1),
        "/v1/predictions/64.0": prediction(64, rows=1),
        "/openapi.json": openapi(),
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
    return found


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


CHECKS = {
    "log": "every entry, signature, tile, root, row tree and blob agrees with the checkpoint",
    "manifest": "each published digest is that of a manifest with the published name and version",
    "provenance": "each model's provenance is signed by a publisher's key and names its digest",
    "approval": "each approval follows publication and comes from another person and key",
    "approved_before_use": "each model was approved at a leaf before its first use",
    "policy_named": "each prediction names the policy of this audit",
    "outcome_source": "each outcome is signed by a key that signed no prediction",
    "execution": "the named model, run again on the opened inputs, gives what was recorded",
}


def check(name: str, verdict: str = "VERIFIED", examined: int = 96, detail: str = "") -> dict[str, Any]:
    failed = 3 if verdict == "FAILED" else 0
    unchecked = 2 if verdict == "NOT_CHECKED" and examined else 0
    return {
        "check": name,
        "claim": CHECKS[name],
        "verdict": verdict,
        "counts": {"examined": examined, "failed": failed, "unchecked": unchecked},
        "detail": detail,
    }


def honesty(failing: str | None = None) -> dict[str, Any]:
    """A report over 170 leaves; with `failing`, that check and one execution fail."""
    findings = []
    if failing:
        findings.append(
            {
                "check": failing,
                "leaf": 64,
                "expected": "183500 (the model, run again)",
                "got": "91750",
                "subject": "prediction 64.0, output var_990_pct_q16",
            }
        )
    counts = {"bit_exact": 24, "within_tolerance": 0, "different": 0, "erased": 0, "not_replayable": 0}
    return {
        "leaf_index": 170,
        "issued_at": at(170),
        "report": {
            "honesty_schema": "assay/honesty-report/v1",
            "says_nothing_on": (
                "Nothing on whether the model was right: no outcome's value was read. Nothing on "
                "what was never recorded, on who really held a key, on clocks, or on whether the "
                "log shows somebody else another tree."
            ),
            "log": {"origin": ORIGIN, "tree_size": 170, "root_hash": sha("r"), "log_key": "k"},
            "policy_digest": digest("policy"),
            "checks": [check(n, "FAILED" if n == failing else "VERIFIED") for n in CHECKS],
            "executions": [
                {
                    "model_digest": digest(name),
                    "verdict": "FAILED" if failing and name == "trade-signal" else "VERIFIED",
                    "counts": {**counts, "different": 3 * bool(failing and name == "trade-signal")},
                }
                for name in NAMES
            ],
            "findings": findings,
        },
    }


def correctness() -> dict[str, Any]:
    return {
        "leaf_index": 171,
        "issued_at": at(171),
        "report": {
            "correctness_schema": "assay/correctness-report/v1",
            "does_not_say": (
                "Nothing on who computed a prediction, or whether a record is what it claims to "
                "be. No alarm means that no signed limit was crossed, not that the model is right."
            ),
            "evaluated_models": [credit(), var("value-at-risk"), var("value-at-risk-baseline"), signal()],
            "libraries": {"monitoring": "1"},
        },
    }


def evaluated(name: str, standing: str, reason: str, estimates: list[Any], tables: list[Any]) -> Any:
    labels = {"credit-default": (1500, 1200, 1140), "trade-signal": (40, 22, 22)}
    predictions, matured, labelled = labels.get(name, (756, 756, 756))
    return {
        "model_digest": digest(name),
        "model_name": name,
        "kind": NAMES[name],
        "standing": standing,
        "standing_reason": reason,
        "label_maturity": {
            "predictions": predictions,
            "matured": matured,
            "labelled": labelled,
            "unlabelled_share": f"{1 - labelled / matured:.6f}",
        },
        "estimates": estimates,
        "tables": tables,
        "caveats": ["756 of 756 labelled forecasts were recorded after their outcome, as in a replay."],
        "window": {
            "first_prediction": "24.0",
            "last_prediction": "166.0",
            "as_of_leaf": 170,
            "rows_digest": digest("rows"),
        },
    }


def estimate(metric: str, title: str, meaning: str, **more: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "title": title,
        "meaning": meaning,
        "value": None,
        "low": None,
        "high": None,
        "interval": "95%, DeLong",
        "n": 250,
        "unit": "share",
        "limit": None,
        "limit_leaf": None,
        "limit_side": None,
        "limit_tolerance": None,
        "limit_replaced_at": None,
        "detector": None,
        "guarantee": None,
        "standing": "exploratory",
        "reason": "no limit was signed for this metric",
        "history": [],
        **more,
    }


def limit(value: str, side: str, leaf: int, standing: str, reason: str) -> dict[str, Any]:
    return {
        "limit": value,
        "limit_side": side,
        "limit_leaf": leaf,
        "limit_tolerance": "0",
        "detector": "threshold",
        "guarantee": "none: a threshold looked at repeatedly is crossed by chance in the end",
        "standing": standing,
        "reason": reason,
    }


def months(count: int) -> list[str]:
    return [f"{2006 + (i + 9) // 12}-{(i + 9) % 12 + 1:02d}-03" for i in range(count)]


def var(name: str) -> dict[str, Any]:
    frozen = name == "value-at-risk"
    labels = months(26)
    counts = [min(31 if frozen else 8, max(0, round((i / 24) ** 2.2 * (31 if frozen else 7)))) for i in range(24)]
    history = [
        {
            "window": f"{labels[i]} to {labels[i + 2]}",
            "value": str(n),
            "low": f"{max(0.0, n - 1.9 * math.sqrt(n + 0.2)):.6f}",
            "high": f"{n + 2.2 * math.sqrt(n + 1):.6f}",
            "n": 250,
        }
        for i, n in enumerate(counts)
    ]
    standing = "alarm" if frozen else "no_alarm"
    reason = (
        "above the limit 9: first crossed at prediction 61.0 with 10; now 31"
        if frozen
        else "8 has not gone above 9"
    )
    newest = history[-1]
    exceed = estimate(
        "exceedances_990_250d",
        "Exceedances of the 99% VaR in 250 days",
        "Days in the newest 250 on which the loss went beyond the 99% value at risk; 2.5 are promised.",
        unit="days of 250",
        interval="95%, Clopper-Pearson; the count itself has no decimals",
        value=newest["value"],
        low=newest["low"],
        high=newest["high"],
        history=history,
        **limit("9", "max", 20, standing, reason),
    )
    kupiec = estimate(
        "exceedances_990_kupiec_p",
        "Kupiec test of the 99% VaR",
        "How often a model whose promised rate is right would miss it at least this far.",
        unit="p-value",
        interval="none: a p-value has no interval; see the rate",
        value="0.000000" if frozen else "0.003412",
        history=[
            {"window": p["window"], "value": f"{0.9 * 0.6**i:.6f}", "low": None, "high": None, "n": 250}
            for i, p in enumerate(history)
        ],
    )
    zone = "red" if frozen else "amber"
    tables = [
        {
            "title": "Traffic light at 99%, newest 250 days (Basel MAR32)",
            "columns": ["Exceedances", "Zone", "Multiplier", "Green", "Amber", "Red"],
            "rows": [[newest["value"], zone, "2.00", "0-4", "5-9", "10+"]],
        },
        {
            "title": "Exceedances over all days with an outcome",
            "columns": ["Level", "Days", "Exceedances", "Promised", "Conditional coverage p"],
            "rows": [["99%", "756", "39", "7.6", "0.000000"], ["97.5%", "756", "55", "18.9", "0.000000"]],
        },
    ]
    return evaluated(name, standing, f"exceedances_990_250d {reason}", [exceed, kupiec], tables)


def credit() -> dict[str, Any]:
    history = [
        {
            "window": f"{40 + 9 * i}.0 to {48 + 9 * i}.99",
            "value": f"{0.781 - 0.006 * math.sin(i):.6f}",
            "low": f"{0.744 - 0.006 * math.sin(i):.6f}",
            "high": f"{0.814 - 0.006 * math.sin(i):.6f}",
            "n": 250,
        }
        for i in range(5)
    ]
    auc = estimate(
        "auc",
        "Ranking (AUC)",
        "The chance that a customer who defaulted had been given a higher score than one who "
        "repaid: 0.5 is a coin toss, 1 is perfect ranking.",
        value="0.779214",
        low="0.751080",
        high="0.805113",
        n=1140,
        history=history,
        **limit("0.7", "min", 19, "no_alarm", "0.779214 has not gone below 0.7"),
    )
    band = ["0% to 2%", "2% to 5%", "5% to 10%", "10% to 20%", "20% to 30%", "30% to 50%", "50% to 70%", "70% to 100%"]
    rows = [
        [b, str(40 + 31 * i), f"{0.01 + 0.1 * i:.4f}", f"{0.012 + 0.1 * i:.4f}", f"{0.1 * i:.4f}", f"{0.04 + 0.1 * i:.4f}", str(3 * i)]
        for i, b in enumerate(band)
    ]
    rows[0][2:6] = ["", "", "", ""]
    columns = ["Predicted PD", "Labelled", "Mean PD", "Default rate", "Low 95%", "High 95%", "Defaults"]
    tables = [{"title": "PD by band", "columns": columns, "rows": rows}]
    brier = estimate("brier", "Brier score", "The mean squared gap; lower is better.", value="0.134021", unit="squared probability")
    return evaluated("credit-default", "no_alarm", "no signed limit crossed (auc)", [auc, brier], tables)


def signal() -> dict[str, Any]:
    told = "22 matured labels; the limit asks for 250"
    hit = estimate(
        "hit_rate",
        "Hit rate",
        "The share of days called right.",
        n=22,
        **limit("0.5", "min", 22, "not_yet_judgeable", told),
    )
    return evaluated("trade-signal", "not_yet_judgeable", f"hit_rate: {told}", [hit], [])


def model(name: str) -> dict[str, Any]:
    steps = [("model.published", None), ("model.approved", "backtest reviewed"), ("model.promoted", "goes live")]
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
                "columns": [column("return_1d", 0.21), column("range_20d", 0.87), column("vix", 0.04), column("carry", None)],
            }
        ]
    }


def prediction(leaf: int, *, rows: int, row: int | None = None, inputs: bool = False) -> dict[str, Any]:
    wanted = range(rows) if row is None else [row]
    credit_row = rows == 1
    leaves = [f'{{"row_index":{i}}}' for i in range(rows)]
    hashes = [hashlib.sha256(b"\x00" + text.encode()).digest() for text in leaves]
    reasons = [
        {"code": "PAYMENT_STATUS", "text": "Recent payments were late", "contribution_q16": 61200},
        {"code": "UTILISATION", "text": "Balances are high against limits", "contribution_q16": 23911},
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
                "derived": {"probability_of_default": "0.6192"} if credit_row else {"var_990_pct": "2.8000"},
                "reasons": reasons if credit_row else [],
                "inputs": {"return_1d": "-4.71", "carry": None} if inputs else None,
                "outcome": {"value": "1", "observed_at": "2026-11-25", "leaf_index": 65, "revises": None}
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


def openapi() -> dict[str, Any]:
    """A description as flask-openapi3 writes it: references, unions with null, examples."""
    request = {
        "type": "object",
        "required": ["model"],
        "properties": {
            "model": {"type": "string", "maxLength": 200, "description": "name, name@alias or digest", "examples": ["credit-default"]},
            "rows": {
                "anyOf": [{"type": "array", "minItems": 1, "items": {"type": "object", "additionalProperties": {"anyOf": [{"type": "number"}, {"type": "null"}]}}}, {"type": "null"}],
                "default": None,
                "description": "many rows",
            },
        },
    }
    answer = {
        "type": "object",
        "required": ["prediction_id", "receipt"],
        "properties": {"prediction_id": {"type": "string"}, "receipt": {"$ref": "#/components/schemas/Receipt"}},
    }
    receipt_schema = {
        "type": "object",
        "required": ["leaf_index"],
        "properties": {
            "leaf_index": {"type": "integer", "minimum": 0},
            "state": {"type": "string", "enum": ["published", "witnessed"]},
            "parent": {"$ref": "#/components/schemas/Receipt"},
        },
    }
    header = {"in": "header", "name": "idempotency-key", "required": False, "schema": {"anyOf": [{"type": "string", "maxLength": 255}, {"type": "null"}]}}
    by_id = {"in": "path", "name": "prediction_id", "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$", "examples": ["17.0"]}}

    def ok(name: str) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}, "4XX": {"description": "Refused", "content": {"application/problem+json": {"schema": {"type": "object", "properties": {"detail": {"type": "string"}}}}}}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "Assay", "version": "0.1.0", "description": "Two questions are answered apart."},
        "tags": [{"name": "predictions", "description": "Decisions, each with its receipt."}, {"name": "health"}],
        "paths": {
            "/v1/predictions": {"post": {"tags": ["predictions"], "summary": "Ask for a prediction", "description": "Ask for a prediction\n\nThe answer carries the receipt.", "parameters": [header], "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}}}, "responses": ok("PredictionAnswer"), "security": [{"bearer": []}]}},
            "/v1/predictions/{prediction_id}": {"get": {"tags": ["predictions"], "summary": "Read a prediction", "parameters": [by_id], "responses": ok("PredictionAnswer"), "security": [{"bearer": []}]}},
            "/livez": {"get": {"tags": ["health"], "summary": "The process answers", "responses": {"200": {"description": "OK"}}}},
        },
        "components": {"schemas": {"PredictionRequest": request, "PredictionAnswer": answer, "Receipt": receipt_schema}},
    }
