"""What docs/operations.md promises: the backup that works, the room a prediction takes."""

import re
import shutil
from pathlib import Path

import pysqlite3
import pytest

from houses import DESK, credit_rows, make_house, signal_days
from ledger.store import truncate_wal
from models.reference import credit_default, trade_signal
from service.api.health import Metrics
from service.assembly import assemble
from service.cli.audit import audit_directory
from service.errors import ServiceError
from service.exporting import export_house
from service.jobs import JOBS
from service.predict import Ask, predict
from service.recovering import recover

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
MODELS = (credit_default.NAME, trade_signal.NAME)
ROWS = 300


@pytest.fixture
def house(tmp_path):
    return make_house(tmp_path / "house", models=MODELS)


def database_bytes(house):
    truncate_wal(house.engine)
    return (house.settings.data_dir / "assay.db").stat().st_size


def documented(label):
    (found,) = re.findall(rf"\| {label} \| about ([0-9.]+) kB", PAGE)
    return float(found) * 1000


def grown(house, asks):
    before = database_bytes(house)
    for ask in asks:
        predict(house, ask)
    return (database_bytes(house) - before) / ROWS


def test_a_prediction_takes_about_the_room_the_page_says(house):
    rows, days = credit_rows(ROWS), signal_days(ROWS)
    credit = grown(house, [Ask(credit_default.NAME, [row], DESK) for row in rows])
    many = grown(house, [Ask(credit_default.NAME, rows[i::3], DESK) for i in range(3)])
    features = [day.of(trade_signal.FEATURES) for day in days]
    signal = grown(house, [Ask(trade_signal.NAME, [row], DESK) for row in features])
    told = (
        documented("credit, 19 features, one row a request"),
        documented("credit, 100 rows a request"),
        documented("trade signal, 5 features, one row a request"),
    )
    assert (credit, many, signal) == pytest.approx(told, rel=0.25)


def test_a_backup_taken_as_documented_is_a_whole_log(house, tmp_path):
    features = [day.of(trade_signal.FEATURES) for day in signal_days(4)]
    for row in features[:3]:
        predict(house, Ask(trade_signal.NAME, [row], DESK))
    size, data_dir = house.ledger.size, house.settings.data_dir
    target = pysqlite3.connect(str(tmp_path / "backup.db"))
    source = pysqlite3.connect(f"file:{data_dir}/assay.db?mode=ro", uri=True)
    source.backup(target)  # while the house is open
    source.close()
    target.close()
    house.engine.dispose()
    put_back(data_dir, tmp_path / "backup.db")
    opened = assemble(house.settings)  # nothing was lost, so nothing is in the way
    assert opened.ledger.size == size
    predict(opened, Ask(trade_signal.NAME, [features[3]], DESK))
    kept = export_house(opened, tmp_path / "kept")
    opened.engine.dispose()
    put_back(data_dir, tmp_path / "backup.db")
    with pytest.raises(ServiceError, match="assay ledger recover EXPORT_DIR"):
        assemble(house.settings)
    recover(house.settings, kept)
    opened = assemble(house.settings)
    assert opened.ledger.size == size + 1
    export = export_house(opened, tmp_path / "export")
    assert audit_directory(export, opened.ledger.vkey).failed == 0
    opened.engine.dispose()


def put_back(data_dir, backup):
    for path in data_dir.glob("assay.db*"):
        path.unlink()
    shutil.copy(backup, data_dir / "assay.db")


def test_the_page_lists_every_job_of_the_scheduler():
    table = PAGE.partition("## Scheduler")[2].partition("## Settings")[0]
    assert sorted(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == sorted(JOBS)


def test_the_page_lists_every_key_file(house):
    table = PAGE.partition("## Keys")[2].partition("## Callers")[0]
    rows = [line.partition(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named == {path.name for path in house.settings.keys_dir.iterdir()}


def test_the_page_lists_every_metric():
    named = set(re.findall(r"`(assay_[a-z_]+)`", PAGE))
    families = {family.name for family in Metrics().registry.collect()}
    assert {name.removesuffix("_total") for name in named} == families
