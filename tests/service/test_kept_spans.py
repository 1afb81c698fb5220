"""Spans kept as columns change no byte of a report, hold nothing in clear, and forget who is erased."""

import pytest

from houses import DESK, credit_rows, make_house, reporter
from service import kept
from service.correctness import correctness_report, issue_correctness
from service.erasure import Order, erase
from service.outcomes import Observed, record_outcomes
from service.predict import Ask, predict

ORDER = Order("a request of 3 May", "GDPR Art. 17", "privacy-office")


@pytest.fixture
def busy(tmp_path, monkeypatch):
    """Forty decisions in requests of one and of three rows, most with an outcome; tiny spans."""
    monkeypatch.setattr(kept, "SPAN", 16)
    house = make_house(tmp_path / "house", models=("credit-default",))
    rows = credit_rows(40)
    at, observed = 0, []
    while at < len(rows):
        size = 3 if at % 2 else 1
        subject = "sub_gone" if at % 7 == 0 else "sub_kept"
        ask = Ask(model="credit-default", caller=DESK, rows=rows[at : at + size], subject=subject)
        leaf = predict(house, ask).index
        observed += [Observed(f"{leaf}.{n}", str(n % 2), "2035-10-31", None, None) for n in range(len(rows[at : at + size]))]  # fmt: skip
        at += size
    monkeypatch.setattr("service.outcomes.AHEAD_S", 10**9)
    record_outcomes(
        house, observed[:-5], caller=reporter(), idempotency_key=None, request_digest=None
    )
    yield house
    house.engine.dispose()


def files(house):
    folder = house.settings.data_dir / kept.FOLDER
    return sorted(folder.glob("span-*")) if folder.exists() else []


def told(house, **how):
    return correctness_report(house, **how).to_bytes()


def afresh(house, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(kept, "SPAN", 1 << 30)  # no span is whole, so nothing is kept or looked up
        return told(house)


def test_a_report_from_kept_spans_is_the_report_from_the_log(busy, monkeypatch):
    whole = afresh(busy, monkeypatch)
    assert told(busy) == whole  # this made the files
    assert len(files(busy)) == busy.ledger.size // 16 > 3
    monkeypatch.setattr(kept, "read", _count(kept.read, reads := []))
    assert told(busy) == whole
    assert len(reads) <= 1  # the open end of the log alone


def test_nothing_of_a_person_stands_in_clear(busy):
    told(busy)
    for path in files(busy):
        data = path.read_bytes()
        assert b"approve" not in data
        assert b"margin_q16" not in data
        assert path.stat().st_mode & 0o077 == 0


def test_an_erasure_deletes_the_files_and_the_rows_do_not_come_back(busy, monkeypatch):
    told(busy)
    before = {path.name: path.read_bytes() for path in files(busy)}
    erase(busy, "sub_gone", ORDER)
    assert len(files(busy)) < len(before)
    after = told(busy)
    assert after == afresh(busy, monkeypatch)


def test_a_file_put_back_from_before_an_erasure_is_not_believed(busy, monkeypatch):
    told(busy)
    before = {path: path.read_bytes() for path in files(busy)}
    erase(busy, "sub_gone", ORDER)
    for path, data in before.items():
        path.write_bytes(data)
    assert told(busy) == afresh(busy, monkeypatch)


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty", "swapped"])
def test_a_harmed_file_is_made_again(busy, monkeypatch, harm):
    whole = told(busy)
    first, second = files(busy)[:2]
    data = bytearray(first.read_bytes())
    if harm == "flipped":
        data[len(data) // 2] ^= 1
    elif harm == "cut":
        del data[100:]
    elif harm == "empty":
        data.clear()
    else:
        data = second.read_bytes()
    first.write_bytes(bytes(data))
    assert told(busy) == whole


def test_a_report_of_an_earlier_leaf_uses_no_later_row(busy, monkeypatch):
    leaf = busy.ledger.size - 20
    whole = told(busy, as_of_leaf=leaf)
    told(busy)
    assert told(busy, as_of_leaf=leaf) == whole


def test_issued_reports_go_on_from_each_other(busy, monkeypatch):
    issue_correctness(busy, actor_id="risk")
    issue_correctness(busy, actor_id="risk")
    assert told(busy) == afresh(busy, monkeypatch)


def _count(function, calls):
    def counted(*given, **named):
        calls.append(given)
        return function(*given, **named)

    return counted
