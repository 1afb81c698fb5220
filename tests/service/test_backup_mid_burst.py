"""A backup taken while the house is written to, restored later: refused, recovered, nothing lost."""

import re
import shlex
import time

import pytest
from click.testing import CliRunner

from backups import backup, environment, restore
from bursts import burst
from houses import Api, make_house, problem_of
from ledger.receipt import verify_receipt
from service.assembly import assemble
from service.cli import main
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house

pytestmark = pytest.mark.slow


@pytest.fixture
def house(tmp_path, database):
    made = make_house(tmp_path / "house", ("credit-default",), database_url=database or "")
    yield made
    made.engine.dispose()


def assay(house, *arguments):
    return CliRunner().invoke(main, [*map(str, arguments)], env=environment(house))


def after(receipts, count, wait_s=30):
    """Until so many more receipts are there."""
    wanted, deadline = len(receipts) + count, time.monotonic() + wait_s
    while len(receipts) < wanted:
        assert time.monotonic() < deadline, "the burst stands still"
        time.sleep(0.005)


def test_a_backup_taken_in_a_burst_is_refused_and_recovered_from_an_export(house, tmp_path):
    api = Api(house)
    with burst(house) as receipts:
        after(receipts, 20)
        backup(house, tmp_path / "backup")
        after(receipts, 20)
    size, vkey = house.ledger.size, house.ledger.vkey
    notes = list(house.ledger.checkpoints())
    export_house(house, tmp_path / "export")
    restore(house, tmp_path / "backup")

    # Under the running server, and at its next start: nothing is appended.
    for answer in (api.predict(), api.nobody.get("/readyz")):
        assert problem_of(answer)["type"] == "urn:assay:problem:ledger-rolled-back"
    old = house.ledger.size
    assert old < size
    with pytest.raises(ServiceError) as refused:
        assemble(house.settings)
    assert refused.value.code == "ledger-rolled-back"

    # The printed command, with the export's name filled in, repairs it.
    told = assay(house, "status", "--data-dir", house.settings.data_dir)
    assert told.exit_code == 1
    found = re.search(r"assay (ledger recover EXPORT_DIR --data-dir \S+)", _joined(told.output))
    command = found[1].replace("EXPORT_DIR", str(tmp_path / "export"))
    done = assay(house, *shlex.split(command))
    assert done.exit_code == 0, done.output
    assert f"{size - old} entries brought back, after {old}" in done.output
    told = assay(house, "ledger", "fsck", "--data-dir", house.settings.data_dir)
    assert told.exit_code == 0, told.output

    opened = assemble(house.settings)
    assert opened.ledger.size == size
    assert list(opened.ledger.checkpoints()) == notes
    for receipt in receipts:
        verify_receipt(receipt, vkey)
        assert opened.ledger.entry(receipt.leaf_index).entry == receipt.entry
    assert Api(opened).predict().status_code == 200
    assert audit_directory(export_house(opened, tmp_path / "again"), vkey).failed == 0
    opened.engine.dispose()


def _joined(output):
    return " ".join(output.split())
