"""A halted model answers nobody: at once, over processes and restarts, until two people resume it."""

import threading
import time

import httpx
import pytest

from houses import Api, credit_rows, make_house, problem_of
from ledger.record import unsigned_body
from servers import Server, free_port
from service.alerts import close
from service.assembly import assemble
from service.auth import Scope
from service.errors import FieldRefused, ServiceError
from service.switch import Halted, Switch, halt_by_hand, resume, switch_of

NAME = "credit-default"


def digest_of(house):
    return house.inventory.resolve(NAME).digest


def halt(house, state="blocked", reason="the feed is broken"):
    return halt_by_hand(
        house, digest=digest_of(house), state=state, reason=reason, actor_id="risk-1"
    )


def test_a_blocked_model_answers_409_and_names_the_alarm(api):
    assert api.predict().status_code == 200
    halted = halt(api.house)
    api.house.inventory.catalog(fresh=True)
    answer = api.predict()
    assert answer.status_code == 409
    told = problem_of(answer)
    assert told["type"] == "urn:assay:problem:model-halted"
    assert told["halted_leaf"] == halted.index
    assert told["state"] == "blocked"
    alarm = unsigned_body(api.house.ledger.entry(told["alarm_leaf"]).entry)
    assert alarm["type"] == "alarm"
    assert (alarm["data"]["cause"], alarm["data"]["severity"]) == ("person", "red")
    assert f"alarm {told['alarm_leaf']}" in told["detail"]


def test_by_name_alias_or_digest_and_other_models_answer_on(api):
    halt(api.house)
    api.house.inventory.catalog(fresh=True)
    for model in (NAME, f"{NAME}@champion", digest_of(api.house)):
        body = {"model": model, "features": credit_rows(1)[0]}
        assert api.trader.post("/v1/predictions", body).status_code == 409
    signal = api.house.inventory.choose("trade-signal")
    assert signal


def test_a_retry_of_what_was_answered_before_still_gets_its_receipt(api):
    first = api.predict(idempotency="one").get_json()
    halt(api.house)
    api.house.inventory.catalog(fresh=True)
    again = api.predict(idempotency="one")
    assert again.status_code == 200
    assert again.get_json()["leaf_index"] == first["leaf_index"]


def test_a_restart_changes_nothing(house):
    halt(house)
    again = assemble(house.settings)
    with pytest.raises(Halted):
        again.inventory.choose(NAME)
    again.engine.dispose()


def test_no_prediction_is_recorded_after_the_halt_by_a_process_that_has_not_heard_of_it(house):
    """The condition of the append decides, not how fresh the other process's memory is."""
    other = assemble(house.settings)
    api = Api(other)
    assert api.predict().status_code == 200
    halted = halt(house)
    other.inventory._read_at = float("inf")  # it believes to have read the log just now, for ever
    assert api.predict().status_code == 409
    leaves = [entry.index for entry in house.ledger.entries(type="prediction")]
    assert max(leaves) < halted.index
    other.engine.dispose()


def test_two_people_resume_it_and_it_answers_again(api):
    halt(api.house)
    digest = digest_of(api.house)
    with pytest.raises(FieldRefused, match="somebody else"):
        resume(api.house, digest=digest, reason="fixed", actor_id="a", second_person="a")
    done = resume(api.house, digest=digest, reason="fixed", actor_id="a", second_person="b")
    body = unsigned_body(api.house.ledger.entry(done.index).entry)
    assert (body["actor_id"], body["data"]["second_person"]) == ("a", "b")
    api.house.inventory.catalog(fresh=True)
    assert api.predict().status_code == 200
    with pytest.raises(ServiceError, match="is not halted"):
        resume(api.house, digest=digest, reason="again", actor_id="a", second_person="b")


def test_closing_the_alarm_does_not_let_the_model_answer(api):
    halt(api.house)
    alarm = switch_of(api.house).halt_of(digest_of(api.house)).alarm_leaf
    close(api.house, alarm, comment="seen", actor_id="risk-1")
    api.house.inventory.catalog(fresh=True)
    assert api.predict().status_code == 409


def test_the_stricter_of_two_halts_counts_and_one_resumption_ends_both(house):
    digest = digest_of(house)
    halt(house, "shadow")
    assert switch_of(house).halt_of(digest).state == "shadow"
    halt(house, "blocked")
    assert switch_of(house).halt_of(digest).state == "blocked"
    halt(house, "shadow", "another reason")
    assert switch_of(house).halt_of(digest).state == "blocked"
    resume(house, digest=digest, reason="fixed", actor_id="a", second_person="b")
    assert switch_of(house).halt_of(digest) is None


def test_the_state_is_a_fold_of_the_log_in_any_pieces(house):
    halt(house, "shadow")
    resume(house, digest=digest_of(house), reason="f", actor_id="a", second_person="b")
    halt(house, "blocked")
    found = [
        entry
        for entry in house.ledger.entries()
        if unsigned_body(entry.entry)["type"] in {"model.halted", "model.resumed"}
    ]
    whole = Switch().after(found).halt_of(digest_of(house))
    for cut in range(len(found) + 1):
        assert Switch().after(found[:cut]).after(found[cut:]).halt_of(digest_of(house)) == whole
    assert whole.state == "blocked"


def test_a_newer_version_answers_in_its_place(tmp_path):
    """A halt is of a digest: what replaces the model behind the alias is another one."""
    house = make_house(tmp_path / "house")
    halt(house)
    assert switch_of(house).halt_of("sha256:" + "1" * 64) is None
    house.engine.dispose()


# --- shadow ------------------------------------------------------------------------------------


def test_a_model_halted_into_shadow_computes_is_recorded_and_answers_nobody(api):
    before = api.predict().get_json()["rows"][0]["outputs"]
    halt(api.house, "shadow")
    api.house.inventory.catalog(fresh=True)
    refused = api.predict(idempotency="one")
    assert refused.status_code == 409
    leaf = problem_of(refused)["prediction_leaf"]
    assert f"recorded as {leaf}" in problem_of(refused)["detail"]
    assert not any(str(value) in refused.get_data(as_text=True) for value in before.values())
    body = unsigned_body(api.house.ledger.entry(leaf).entry)
    assert (body["type"], body["actor_id"]) == ("prediction", "house:shadow")
    assert api.trader.get(f"/v1/predictions/{leaf}").status_code == 403
    seen = api.risk.get(f"/v1/predictions/{leaf}").get_json()["rows"][0]
    assert (seen["outputs"], seen["inputs"]) == (before, None)
    outcome = {"prediction_id": f"{leaf}.0", "value": "1", "observed_at": "2026-01-01"}
    assert api.outcomes.post("/v1/outcomes", {"outcomes": [outcome]}).status_code == 200


def test_a_retry_is_not_answered_with_what_the_shadow_computed(api):
    halt(api.house, "shadow")
    api.house.inventory.catalog(fresh=True)
    leaves = {problem_of(api.predict(idempotency="one"))["prediction_leaf"] for _ in range(3)}
    assert len(leaves) == 1
    resume(api.house, digest=digest_of(api.house), reason="f", actor_id="a", second_person="b")
    api.house.inventory.catalog(fresh=True)
    answer = api.predict(idempotency="one")
    assert answer.status_code == 200
    assert answer.get_json()["leaf_index"] not in leaves


def test_a_blocked_model_computes_nothing(api):
    halt(api.house)
    api.house.inventory.catalog(fresh=True)
    size = api.house.ledger.size
    assert problem_of(api.predict())["prediction_leaf"] is None
    assert api.house.ledger.size == size


# --- processes ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_process_of_a_server_stops_within_the_bound(tmp_path):
    """Two workers under load; the halt is written by a third process. Prints the delay measured."""
    house = make_house(tmp_path / "house")
    key = house.callers.issue("desk", [Scope.TRADER])
    server = Server(house.settings.data_dir, free_port(), 2)
    server.wait_for_workers(2)
    body = {"model": NAME, "features": credit_rows(1)[0]}
    last_answer, refused, stop = [0.0], [0], threading.Event()

    def ask():
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}) as client:
            while not stop.is_set():
                answer = client.post(f"{server.address}/v1/predictions", json=body, timeout=30)
                if answer.status_code == 200:
                    last_answer[0] = time.monotonic()
                elif answer.status_code == 409:
                    refused[0] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    halted = halt(house)
    at = time.monotonic()
    time.sleep(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    server.kill()
    last = max(entry.index for entry in house.ledger.entries(type="prediction"))
    print(f"last answer {last_answer[0] - at:+.3f} s after the halt, {refused[0]} refused")
    assert last < halted.index, "no prediction has a later leaf than the halt"
    assert refused[0] > 0
    assert last_answer[0] - at < 1
    house.engine.dispose()
