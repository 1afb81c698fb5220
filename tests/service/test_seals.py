"""Seals: one root over everything since the last one; ranges adjoin, whoever seals and how often."""

import threading

import pytest

from houses import Api, break_storage, mend_storage, problem_of
from ledger.keys import Role
from ledger.merkle import leaf_hash
from ledger.record import parse_entry
from ledger.seal import period_root
from service import jobs
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house
from service.sealing import seal


def seals(house):
    return [(e.index, parse_entry(e.entry)) for e in house.ledger.entries(type="seal")]


def check_they_adjoin(house):
    """No gap, no overlap, each root that of the leaves it names."""
    end = 0
    for leaf, entry in seals(house):
        data = entry.data
        assert data["first_index"] == end
        end += data["count"]
        assert end <= leaf, "a seal covers what came before it"
        covered = house.ledger.entries(first=data["first_index"], limit=data["count"])
        assert data["root"] == period_root([leaf_hash(e.entry) for e in covered]).hex()
    return end


def test_seals_adjoin(api):
    for day in ("2026-11-23", "2026-11-24", "2026-11-25"):
        api.predict()
        assert api.admin.post("/v1/admin/seals", {"period": day}).status_code == 200
    assert check_they_adjoin(api.house) == api.house.ledger.size - 1
    listed = api.risk.get("/v1/ledger").get_json()["seals"]
    assert [s["period"] for s in listed] == ["2026-11-25", "2026-11-24", "2026-11-23"]


def test_the_first_seal_covers_the_keys_and_models(house):
    done = seal(house, period="2026-11-25", actor_id="x")
    ((_, entry),) = seals(house)
    assert (entry.data["first_index"], entry.data["count"]) == (0, done.index)
    assert entry.body["producer"] == house.signers[Role.REPORTER].key_id


def test_sealing_twice_leaves_no_gap_and_no_overlap(house):
    for _ in range(2):
        seal(house, period="2026-11-25", actor_id="x")
    assert check_they_adjoin(house) == house.ledger.size - 1
    _, second = seals(house)
    assert second[1].data["count"] == 1, "the first seal itself"


def test_the_daily_job_run_twice_seals_nothing_twice(house):
    told = jobs.run_once(house, ["seal", "seal"])
    assert len(set(told)) == 2
    check_they_adjoin(house)


@pytest.mark.parametrize("processes", [1, 2])
def test_sealers_of_one_period_at_once_make_one_seal(house, processes):
    houses = [house, *(assemble(house.settings) for _ in range(processes - 1))]
    barrier, done = threading.Barrier(4), []

    def race(mine):
        barrier.wait()
        done.append(seal(mine, period="2026-11-25", actor_id="x").index)

    run(race, [houses[i % processes] for i in range(4)])
    assert len(done) == 4
    assert set(done) == {leaf for leaf, _ in seals(house)}
    check_they_adjoin(house)
    for other in houses[1:]:
        other.engine.dispose()


def test_of_two_periods_sealed_at_once_one_wins_and_the_other_is_told(house, monkeypatch):
    """Both have looked before either appends: the later one must not overlap."""
    met = threading.Barrier(2)

    def meet(hashes):
        met.wait()
        return period_root(hashes)

    monkeypatch.setattr("service.sealing.period_root", meet)
    told = []

    def race(period):
        try:
            told.append(seal(house, period=period, actor_id="x").index)
        except ServiceError as error:
            told.append(error)

    run(race, ["2026-11-24", "2026-11-25"])
    (won,) = [x for x in told if isinstance(x, int)]
    (lost,) = [x for x in told if isinstance(x, ServiceError)]
    assert (lost.status, lost.code) == (409, "sealed-meanwhile")
    assert str(won) in lost.detail
    assert [leaf for leaf, _ in seals(house)] == [won]


def run(target, each):
    threads = [threading.Thread(target=target, args=(item,)) for item in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_sealing_while_predictions_come_in_covers_each_once(house):
    api, stop = Api(house), threading.Event()

    def keep_asking():
        while not stop.is_set():
            api.predict()

    asking = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in asking:
        thread.start()
    for _ in range(6):
        seal(house, period="2026-11-25", actor_id="x")
    stop.set()
    for thread in asking:
        thread.join()
    check_they_adjoin(house)


def test_a_seal_that_could_not_be_recorded_is_made_by_asking_again(api):
    break_storage(api.house)
    assert api.admin.post("/v1/admin/seals", {"period": "2026-11-25"}).status_code == 503
    mend_storage(api.house)
    assert api.admin.post("/v1/admin/seals", {"period": "2026-11-25"}).status_code == 200
    check_they_adjoin(api.house)


@pytest.mark.parametrize("period", ["", "x" * 41, "2026 11 25", "<b>", "2026-11-25\n", None, 7])
def test_a_period_is_a_plain_label(open_api, period):
    refused = open_api.admin.post("/v1/admin/seals", {"period": period})
    assert refused.status_code == 422
    assert problem_of(refused)["errors"][0]["field"] == "period"


def test_an_audit_recomputes_the_seals(house, tmp_path):
    for _ in range(3):
        seal(house, period="2026-11-25", actor_id="x")
    report = audit_directory(export_house(house, tmp_path / "export"), house.ledger.vkey)
    assert report.failed == 0
    (check,) = [c for c in report.to_json()["checks"] if c["check"] == "seal"]
    assert check["counts"]["examined"] == 3
