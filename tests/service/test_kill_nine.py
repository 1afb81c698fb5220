"""kill -9 of the real server in the middle of a burst: receipts hold, retries double nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from houses import credit_rows, make_house
from ledger.receipt import Receipt, verify_receipt
from ledger.record import parse_entry
from servers import Server, free_port
from service.assembly import assemble
from service.auth import Scope
from service.cli.audit import audit_directory
from service.exporting import export_house

CLIENTS = 12
ROUNDS = 3  # kills in a row, each after a longer burst


def ask(http, address, key, body):
    return http.post(
        f"{address}/v1/predictions", json=body, headers={"Idempotency-Key": key}, timeout=10
    )


def burst(address, api_key, bodies, answered, stop):
    """Each client sends its bodies in turn; what was answered is kept by idempotency key."""

    def client(mine):
        with httpx.Client(headers={"Authorization": f"Bearer {api_key}"}) as http:
            for key, body in mine:
                if stop.is_set():
                    return
                try:
                    answer = ask(http, address, key, body)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    answered[key] = answer.json()

    pool = ThreadPoolExecutor(CLIENTS)
    for n in range(CLIENTS):
        pool.submit(client, bodies[n::CLIENTS])
    return pool


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_nine_in_a_burst_loses_no_receipt_and_doubles_nothing(tmp_path, workers):
    house = make_house(tmp_path / "house", models=("credit-default",))
    api_key = house.callers.issue("desk", [Scope.TRADER])
    vkey, directory = house.ledger.vkey, house.settings.data_dir
    house.engine.dispose()
    rows = credit_rows(50)
    bodies = [
        (f"order-{i}", {"model": "credit-default", "features": rows[i % len(rows)]})
        for i in range(4000)
    ]
    answered: dict[str, dict] = {}
    for attempt in range(ROUNDS):
        server, stop = Server(directory, free_port(), workers), threading.Event()
        first = attempt * len(bodies) // ROUNDS
        pool = burst(server.address, api_key, bodies[first:], answered, stop)
        wanted, until = len(answered) + 2 * CLIENTS, time.monotonic() + 60
        while len(answered) < wanted and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.1 * attempt)  # not always at the same place
        server.kill()
        stop.set()
        pool.shutdown()
    assert len(answered) > CLIENTS, "the burst was too short to mean anything"

    opened = assemble(house.settings)
    logged = {
        parse_entry(stored.entry).body["idempotency_key"]: stored
        for stored in opened.ledger.entries(type="prediction")
    }
    assert len(logged) == opened.ledger.counts()["prediction"], (
        "an idempotency key was recorded twice"
    )
    for answer in answered.values():
        receipt = Receipt.from_json(answer["receipt"])
        verify_receipt(receipt, vkey)
        assert opened.ledger.entry(receipt.leaf_index).entry == receipt.entry
    before = opened.ledger.size
    opened.engine.dispose()

    server = Server(directory, free_port(), workers)
    try:
        with httpx.Client(headers={"Authorization": f"Bearer {api_key}"}) as http:
            for key in list(answered)[:200]:
                body = dict(bodies)[key]
                again = ask(http, server.address, key, body).json()
                assert again["leaf_index"] == answered[key]["leaf_index"]
    finally:
        server.kill()
    opened = assemble(house.settings)
    assert opened.ledger.size == before
    report = audit_directory(export_house(opened, directory / "export"), vkey)
    assert report.failed == 0
