"""PostgreSQL's physical backup, taken in a burst and started as another server: refused, recovered."""

import pytest

import postgres
from bursts import burst
from houses import Api, make_house, problem_of
from ledger.receipt import verify_receipt
from logs import only_postgres
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house
from service.recovering import recover


@only_postgres
def test_a_base_backup_is_refused_and_recovered_from_an_export(tmp_path, database, postgres_server):
    house = make_house(tmp_path / "house", ("credit-default",), database_url=database)
    api = Api(house)
    with burst(house) as receipts:
        while len(receipts) < 20:
            assert api.predict().status_code == 200
        other = postgres.Server(postgres.find_programs()[0], copy_of=postgres_server)
        while len(receipts) < 60:
            assert api.predict().status_code == 200
    size, vkey = house.ledger.size, house.ledger.vkey
    export_house(house, tmp_path / "export")
    house.engine.dispose()
    url = other.url(house.engine.url.database)
    settings = house.settings.model_copy(update={"database_url": url})
    try:
        with pytest.raises(ServiceError) as refused:
            assemble(settings)
        assert refused.value.code == "ledger-rolled-back"
        done = recover(settings, tmp_path / "export")
        assert done.before < done.size == size
        opened = assemble(settings)
        for receipt in receipts:
            verify_receipt(receipt, vkey)
            assert opened.ledger.entry(receipt.leaf_index).entry == receipt.entry
        answer = Api(opened).predict()
        assert answer.status_code == 200, problem_of(answer)
        assert audit_directory(export_house(opened, tmp_path / "again"), vkey).failed == 0
        opened.engine.dispose()
    finally:
        other.stop()
