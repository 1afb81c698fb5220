"""A burst of predictions and refusals on a house from several threads, and the receipts it gave."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from houses import DESK, credit_rows
from ledger.keys import Role
from ledger.record import Draft
from service.predict import Ask, predict

THREADS = 4


@contextmanager
def burst(house):
    """While the body runs, threads append; yields the list of receipts, complete afterwards."""
    receipts, over, rows = [], threading.Event(), credit_rows(8)

    def work(thread):
        for n in range(1_000_000):
            if over.is_set():
                return
            if n % 5 == thread % 5:
                ask = Ask(model="credit-default", rows=rows[n % 8 :][:2], caller=DESK)
                receipts.append(predict(house, ask).receipt)
            else:
                receipts.append(house.ledger.append(*_refusal(house)).receipt)

    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(work, thread) for thread in range(THREADS)]
        try:
            yield receipts
        finally:
            over.set()
            for one in running:
                one.result()


def _refusal(house):
    data = {"cause": "Test", "model_digest": None, "detail": "x"}
    draft = Draft(type="refusal", actor_id="t", data=data, event_time=house.now())
    return draft, house.signers[Role.PRODUCER]
