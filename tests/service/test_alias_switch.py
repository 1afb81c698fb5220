"""The serving process follows an alias without a restart and without a dropped request."""

import threading
import time

import httpx
import pytest

from houses import make_house
from servers import Server, free_port
from service import lifecycle
from service.auth import Scope
from service.intake import Submission, submit
from userfiles import CARD, NAMES, csv_bytes, skops_bytes

MODEL = "somebody-s-default-model"
CALLERS = 2
SEEN_S = 1.0  # a promotion is seen within a quarter of a second; a busy machine takes longer


@pytest.fixture
def house(tmp_path):
    """Two approved versions of one name; the first is champion."""
    made = make_house(tmp_path / "house", models=())
    (tmp_path / "train.csv").write_bytes(csv_bytes())
    (tmp_path / "card.md").write_text(CARD)
    digests = []
    for name in ("scaled-logistic", "boosting"):
        (tmp_path / f"{name}.skops").write_bytes(skops_bytes(name))
        files = (tmp_path / f"{name}.skops", tmp_path / "card.md", tmp_path / "train.csv")
        digests.append(submit(made, Submission(*files, "dana", target="default")).digest)
        lifecycle.approve(made, digest=digests[-1], reason="a test", actor_id="anna")
    promote(made, digests[0])
    yield made, digests
    made.engine.dispose()


def promote(house, digest):
    lifecycle.promote(house, digest=digest, alias="champion", reason="a switch", actor_id="anna")


class Load:
    """Callers that ask without a pause and keep when, what came back, and which model answered."""

    def __init__(self, address, key):
        self.answers, self._address, self._key = [], address, key
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CALLERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        body = {"model": MODEL, "features": dict.fromkeys(NAMES, 0.25)}
        headers = {"Authorization": f"Bearer {self._key}"}
        with httpx.Client(base_url=self._address, headers=headers, timeout=30) as client:
            while not self._over.is_set():
                asked = time.monotonic()
                answer = client.post("/v1/predictions", json=body)
                digest = answer.json().get("model", {}).get("model_digest")
                self.answers.append((asked, answer.status_code, digest))


def test_a_switch_under_load_drops_nothing(house):
    """Slow (a server of its own, three switches): the promise is about a real process."""
    made, digests = house
    key = made.callers.issue("desk", [Scope.TRADER])
    server = Server(made.settings.data_dir, free_port(), 1)
    switches = []
    try:
        with Load(server.address, key) as load:
            time.sleep(0.5)
            for turn in range(3):
                wanted = digests[(turn + 1) % 2]
                began = time.monotonic()
                promote(made, wanted)
                switches.append((began, time.monotonic(), wanted))
                time.sleep(SEEN_S + 1.0)
    finally:
        server.stop()
    assert {status for _, status, _ in load.answers} == {200}
    assert {digest for _, _, digest in load.answers} == set(digests)
    assert len(load.answers) > 100
    ends = [began for began, _, _ in switches[1:]] + [float("inf")]
    for (_, switched, wanted), end in zip(switches, ends, strict=True):
        settled = {d for asked, _, d in load.answers if switched + SEEN_S < asked < end - 0.5}
        assert settled == {wanted}
