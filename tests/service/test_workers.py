"""Four workers on one log, and two hosts on one PostgreSQL, under load over HTTP: one log, no gap."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text

from houses import credit_rows, make_house
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from logs import only_postgres
from servers import Server, free_port
from service.assembly import assemble
from service.auth import Scope
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house

CLIENTS = 16
EACH = 20
pytestmark = pytest.mark.slow


@pytest.fixture
def house(tmp_path, database):
    url = {"database_url": database} if database else {}
    made = make_house(tmp_path / "house", models=("credit-default",), **url)
    yield made
    made.engine.dispose()


def load(addresses, key, rows):
    """Clients ask in turns, each over connections of its own; every third request is a retry."""

    def client(n):
        answers = []
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
            for turn in range(EACH):
                order = f"order-{n}-{turn - (turn % 3 == 2)}"
                body = {"model": "credit-default", "features": rows[(n + turn) % len(rows)]}
                if turn % 3 == 2:
                    body["features"] = rows[(n + turn - 1) % len(rows)]
                address = addresses[(n + turn) % len(addresses)]
                answer = http.post(
                    f"{address}/v1/predictions", json=body, headers={"Idempotency-Key": order}
                )
                assert answer.status_code == 200, answer.text
                answers.append((order, answer.json()))
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [answer for answers in pool.map(client, range(CLIENTS)) for answer in answers]


def check(house, answers, directory):
    """One log: every receipt holds in it, keys are recorded once, and the audit finds nothing."""
    opened = assemble(house.settings)
    leaves = {}
    for order, answer in answers:
        receipt = Receipt.from_json(answer["receipt"])
        verify_receipt(receipt, house.ledger.vkey)
        assert opened.ledger.entry(receipt.leaf_index).entry == receipt.entry
        assert leaves.setdefault(order, receipt.leaf_index) == receipt.leaf_index
    assert len(set(leaves.values())) == len(leaves)
    assert opened.ledger.counts()["prediction"] == len(leaves)
    report = audit_directory(export_house(opened, directory / "export"), house.ledger.vkey)
    assert report.failed == 0
    assert report.tree_size == opened.ledger.size
    with opened.engine.connect() as connection:
        notes = connection.execute(text("SELECT count(*) FROM ledger_checkpoint")).scalar()
    opened.engine.dispose()
    return notes


def producers_of(house):
    """The producer's sequence numbers in leaf order."""
    bodies = [parse_entry(stored.entry).body for stored in house.ledger.entries(type="prediction")]
    return [body["seq"] for body in bodies]


def test_four_workers_under_load_stay_one_log(house, tmp_path):
    key = house.callers.issue("desk", [Scope.TRADER])
    server = Server(
        house.settings.data_dir, free_port(), 4, database_url=house.settings.database_url
    )
    try:
        server.wait_for_workers(4)
        answers = load([server.address], key, credit_rows(20))
    finally:
        server.stop()
    commits = check(house, answers, tmp_path)
    assert producers_of(house) == sorted(producers_of(house))
    assert commits < house.ledger.size, "no commit was shared"


@only_postgres
def test_two_hosts_under_load_stay_one_log(house, tmp_path):
    """Each host has its own data directory: keys and model files copied, nothing shared but SQL."""
    key = house.callers.issue("desk", [Scope.TRADER])
    other = tmp_path / "other-host"
    shutil.copytree(house.settings.data_dir, other)
    url = house.settings.database_url
    servers = [
        Server(directory, free_port(), 2, database_url=url)
        for directory in (house.settings.data_dir, other)
    ]
    try:
        answers = load([server.address for server in servers], key, credit_rows(20))
    finally:
        for server in servers:
            server.stop()
    check(house, answers, tmp_path)


@only_postgres
def test_one_outcome_of_a_prediction_over_two_hosts(house, tmp_path):
    """No file lock reaches from one host to another; the append's condition does."""
    from houses import DESK, reporter
    from service.outcomes import Observed, record_outcomes
    from service.predict import Ask, predict

    other = tmp_path / "other-host"
    shutil.copytree(house.settings.data_dir, other)
    hosts = [house, assemble(house.settings.model_copy(update={"data_dir": other}))]
    for row in credit_rows(6):
        leaf = predict(house, Ask(model="credit-default", rows=[row], caller=DESK)).index
        item = Observed(str(leaf), "1", "2026-11-25", None, None)

        def race(host, item=item):
            try:
                record_outcomes(
                    host, [item], caller=reporter(), idempotency_key=None, request_digest=None
                )
            except ServiceError as error:
                return error.code
            return "recorded"

        with ThreadPoolExecutor(4) as pool:
            told = sorted(pool.map(race, hosts * 2))
        assert told == ["outcome-exists"] * 3 + ["recorded"]
    assert house.ledger.counts()["outcome"] == 6
    hosts[1].engine.dispose()
