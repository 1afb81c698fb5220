"""The steps of the demo, in order. Each does what a customer could do over HTTP or the CLI.

1. a house with its keys, four models, limits signed before any decision
2. a real server on loopback; history replayed through its API, days sealed
3. drift measured by the scheduler's process; both reports issued; the export audited offline
4. a rogue operator's house, audited the same way: the four quadrants
5. one byte flipped in a copy of the export: the auditor names the entry
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ledger.canonical import canonical_bytes
from models.reference import value_at_risk
from models.reference.training import RECIPES, train_all
from service.assembly import initialise
from service.auth import KEY_FORM, Scope
from service.correctness import correctness_report
from service.demo import drill, history, processes
from service.demo.desk import Client
from service.demo.limits import LIMITS
from service.demo.rogue import run_rogue_house
from service.errors import ServiceError
from service.exporting import export_house
from service.lifecycle import set_limit
from service.publishing import DEVELOPER, VALIDATOR, publish_package, put_to_work
from service.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from service.assembly import Assembly
    from service.demo.narration import Narration
    from service.demo.processes import Audited

MARKER: Final = ".assay-demo"
ORIGIN: Final = "demo.example/decisions"
RISK_COMMITTEE: Final = "risk-committee"
CALLERS: Final = {
    "desk": (Scope.TRADER,),
    "back-office": (Scope.OUTCOMES,),
    "auditor": (Scope.AUDITOR, Scope.RISK),
    "operations": (Scope.ADMIN,),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What the demo found, for its last lines and its exit status."""

    audit: Audited
    rogue: Audited
    tampered: Audited
    flip: drill.Flip
    quadrants_hold: bool


def prepare_directory(directory: Path) -> None:
    """An empty directory; an earlier demo is replaced, nothing else is touched."""
    if directory.exists() and any(directory.iterdir()):
        if not (directory / MARKER).is_file():
            raise ServiceError(
                409,
                "directory-in-use",
                f"{directory} holds something that is not an earlier demo; "
                "choose another with --data-dir DIR",
            )
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARKER).touch()


def open_demo_house(directory: Path, tell: Narration) -> tuple[Assembly, dict[str, str]]:
    """Keys, models, limits and callers; returns the house and each caller's API key."""
    house = initialise(Settings(data_dir=directory, origin=ORIGIN))
    tell.say(f"verifier key {house.ledger.vkey}")
    with tell.progress() as bar:
        task = bar.add_task("train and publish", total=len(RECIPES))
        for package in train_all(environment_digest=house.environment_digest, until=history.FROZEN):
            name, digest = package.manifest.name, package.manifest.digest
            publish_package(house, package, actor_id=DEVELOPER)
            put_to_work(house, digest, reason="fit for the demo", actor_id=VALIDATOR)
            for terms in LIMITS[name]:
                set_limit(house, digest=digest, terms=terms, actor_id=RISK_COMMITTEE)
            bar.advance(task)
            tell.say(f"{name:<24} {digest[:23]}… published, approved, limits signed")
    keys = {name: house.callers.issue(name, scopes) for name, scopes in CALLERS.items()}
    return house, keys


def replay_market(address: str, keys: dict[str, str], tell: Narration) -> int:
    """Every day: three decisions at once, the next day's outcome, a seal; says how many days."""
    desk, office = Client(address, keys["desk"]), Client(address, keys["back-office"])
    operations = Client(address, keys["operations"])
    days = history.market_days()
    with ThreadPoolExecutor(len(history.MARKET_MODELS)) as pool, tell.progress() as bar:
        task = bar.add_task("S&P 500, July 2007 to June 2009", total=len(days))
        for day in days:
            asked = [
                pool.submit(desk.predict, name, [day.of(features)], day.as_of)
                for name, features in history.MARKET_MODELS.items()
            ]
            answers = [future.result() for future in asked]
            office.report_outcomes(
                [history.market_outcome(f"{a['leaf_index']}.0", day) for a in answers]
            )
            operations.post("/v1/admin/seals", {"period": day.as_of})
            bar.advance(task)
    return len(days)


def replay_credit(address: str, keys: dict[str, str], tell: Narration) -> dict[str, Any]:
    """Accounts in batches, then what became of them. Returns the last answer."""
    desk, office = Client(address, keys["desk"]), Client(address, keys["back-office"])
    answer: dict[str, Any] = {}
    with tell.progress() as bar:
        task = bar.add_task("credit accounts", total=history.CREDIT_ROWS)
        for batch in history.credit_batches():
            answer = desk.predict(
                "credit-default", [account.features for account in batch], history.CREDIT_AS_OF
            )
            office.report_outcomes(
                [
                    {
                        "prediction_id": row["prediction_id"],
                        "value": str(account.defaulted),
                        "observed_at": history.CREDIT_OBSERVED,
                    }
                    for row, account in zip(answer["rows"], batch, strict=True)
                ]
            )
            bar.advance(task, len(batch))
    return answer


def issue_reports(address: str, keys: dict[str, str], directory: Path) -> dict[str, Any]:
    """Both reports through the API; the correctness report is kept as a file and returned."""
    auditor = Client(address, keys["auditor"])
    correctness: dict[str, Any] = auditor.post("/v1/reports/correctness", {})["report"]
    auditor.post("/v1/reports/honesty", {})
    write_json(directory / "reports" / "correctness.json", correctness)
    return correctness


def audit_house(house: Assembly) -> Audited:
    """Export as it stands now, reports included, and audit that offline."""
    directory = house.settings.data_dir
    export = export_house(house, directory / "export")
    return processes.audit(export, directory / "log.vkey", directory / "reports" / "honesty.json")


def audit_rogue(directory: Path, tell: Narration) -> tuple[Audited, dict[str, Any]]:
    """Build, export and audit the rogue house; evaluate it too."""
    with tell.progress() as bar:
        task = bar.add_task("another operator's 2008")
        house = run_rogue_house(
            directory, lambda done, total: bar.update(task, completed=done, total=total)
        )
    audited = audit_house(house)
    correctness = correctness_report(house).to_json()
    write_json(directory / "reports" / "correctness.json", correctness)
    return audited, correctness


def tamper(directory: Path, leaf: int) -> tuple[drill.Flip, Audited]:
    """Flip one byte of an entry in a copy of the export, and audit the copy."""
    copy = directory / "tampered-export"
    drill.copy_export(directory / "export", copy)
    flip = drill.flip_one_byte(copy, leaf=leaf)
    report = directory / "reports" / "honesty-of-tampered-export.json"
    return flip, processes.audit(copy, directory / "log.vkey", report)


def middle_prediction(house: Assembly) -> int:
    """A prediction in the middle of the log."""
    middle = house.ledger.size // 2
    return next(house.ledger.entries(type="prediction", first=middle, limit=1)).index


def sign_in_link(house: Assembly, key: str) -> str:
    """A path that signs the holder of a key in, once."""
    form = KEY_FORM.fullmatch(key)
    if form is None:
        raise ServiceError(500, "internal", "an issued key has another form than expected")
    return f"/sign-in?token={house.callers.make_link(form.group(1))}"


def quadrant_rows(
    honest: tuple[dict[str, Any], dict[str, Any]], rogue: tuple[dict[str, Any], dict[str, Any]]
) -> list[tuple[str, str, str, str]]:
    """Name, what happened, execution verdict, standing: read out of four separate reports."""
    cases = (
        ("honest and right", "credit-default decides on 3,000 accounts", "credit-default", honest),
        (
            "honest and wrong",
            "value-at-risk, frozen in 2006, meets 2008",
            value_at_risk.NAME,
            honest,
        ),
        (
            "dishonest and right",
            "another operator's unapproved model answers under the approved digest",
            value_at_risk.NAME,
            rogue,
        ),
        (
            "dishonest and wrong",
            "the same operator records half of the forecast loss",
            value_at_risk.BASELINE_NAME,
            rogue,
        ),
    )
    return [
        (name, told, _execution(reports[0], model), _standing(reports[1], model))
        for name, told, model, reports in cases
    ]


EXPECTED: Final = [
    ("VERIFIED", "no_alarm"),
    ("VERIFIED", "alarm"),
    ("FAILED", "no_alarm"),
    ("FAILED", "alarm"),
]


def _execution(honesty: dict[str, Any], model: str) -> str:
    found = (e for e in honesty["executions"] if e["published_as"] == model)
    return str(next(found)["verdict"])


def _standing(correctness: dict[str, Any], model: str) -> str:
    found = (m for m in correctness["evaluated_models"] if m["model_name"] == model)
    return str(next(found)["standing"])


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Canonical JSON, so that the file has the digest that the ledger names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical_bytes(json.loads(json.dumps(value))))
