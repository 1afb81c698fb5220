"""Entries counted by type: what was counted is not read again, whoever appended the rest."""

from sqlalchemy import text

from ledger import counting
from ledger.keys import Role
from logs import ROLES, key_of, open_log, refusal

PRODUCER = key_of(Role.PRODUCER)


def counted(log):
    """The counts, held against a plain query."""
    found = log.ledger.counts()
    with log.engine.connect() as connection:
        plain = connection.execute(
            text("SELECT type, count(*) AS n FROM ledger_entry GROUP BY type")
        )
        assert found == {row.type: row.n for row in plain}
    return found


def test_counts_follow_what_this_and_other_processes_append(log):
    assert counted(log) == {"key.added": len(ROLES)}
    log.ledger.append(refusal(1), PRODUCER)
    other = open_log(log.directory)
    other.ledger.append(refusal(2), PRODUCER)
    assert counted(log)["refusal"] == 2
    log.ledger.append(refusal(3), PRODUCER)
    assert counted(log)["refusal"] == counted(other)["refusal"] == 3
    other.engine.dispose()


def test_what_was_counted_is_not_read_again(log, monkeypatch):
    asked = []
    real = counting.run

    def run(connection, statement, values=()):
        asked.append((statement, values))
        return real(connection, statement, values)

    monkeypatch.setattr(counting, "run", run)
    first = log.ledger.counts()
    log.ledger.counts()
    (_, none), (statement, since) = [a for a in asked if "GROUP BY" in a[0]]
    assert none == ()
    assert "leaf_index >= ?" in statement
    assert since == (sum(first.values()),)


def test_whoever_changes_the_answer_changes_no_later_one(log):
    log.ledger.counts()["key.added"] = 0
    assert counted(log)["key.added"] == len(ROLES)
