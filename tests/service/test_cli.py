"""The command line: help with an example everywhere, errors in one line, nothing done twice."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from houses import make_house, packages
from ledger.record import parse_entry
from models.reference.value_at_risk import BASELINE_NAME
from service.assembly import assemble
from service.cli import COMMANDS, main
from service.lifecycle import withdraw
from service.publishing import DEVELOPER, publish_package
from service.settings import Settings


def run(*arguments, **environment):
    return CliRunner(env=environment).invoke(main, [*map(str, arguments)])


def refused(told, *words):
    """One line, exit status 1, saying these words and no traceback."""
    assert told.exit_code == 1, told.output
    assert len(told.output.strip().splitlines()) == 1, told.output
    assert told.output.startswith("Error: ")
    assert told.exc_info[0] is SystemExit, told.exc_info
    for word in words:
        assert str(word) in told.output
    return told.output


# --- help ----------------------------------------------------------------------------------------


def test_help_lists_every_command_and_imports_none():
    code = "import sys; from service.cli import main; main(['--help'], standalone_mode=False);"
    code += "print(sorted(m for m in sys.modules if m in {'flask', 'numpy', 'sqlalchemy'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in COMMANDS:
        assert name in done.stdout
    assert done.stdout.strip().endswith("[]")


def leaves(command, path=()):
    for name, sub in getattr(command, "commands", {}).items():
        yield from leaves(sub, (*path, name))
    if not getattr(command, "commands", None):
        yield path


def every_command():
    for name in COMMANDS:
        yield from leaves(main.get_command(None, name), (name,))


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_command_helps_with_an_example(path):
    told = run(*path, "--help")
    assert told.exit_code == 0
    assert "Example" in told.output
    assert f"assay {' '.join(path)}" in told.output
    assert told.output == run(*path, "-h").output


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_every_option_says_what_it_is_for(path):
    command = main
    for name in path:
        command = command.get_command(None, name)
    silent = [p.name for p in command.params if p.param_type_name == "option" and not p.help]
    assert silent == []


@pytest.mark.parametrize("words", [["nothing"], ["models", "nothing"], ["status", "--nothing"]])
def test_what_is_no_command_is_told_with_the_way_to_help(words):
    told = run(*words)
    assert told.exit_code == 2
    assert "--help" in told.output or "-h" in told.output
    assert "Traceback" not in told.output


def test_version():
    assert run("--version").output.startswith("assay 0.")


# --- from nothing to an audit --------------------------------------------------------------------


def test_a_house_from_nothing_to_an_audit(tmp_path):
    house = tmp_path / "house"
    assert "verifier key" in run("init", "--data-dir", house, "--origin", "cli.example/log").output
    assert "no models yet" in run("models", "list", "--data-dir", house).output
    first = run("models", "publish-reference", "--data-dir", house)
    assert first.output.count("published, approved, promoted") == 4
    size = assemble(Settings(data_dir=house)).ledger.size
    again = run("models", "publish-reference", "--data-dir", house)
    assert again.output.count("is published already") == 4
    assert assemble(Settings(data_dir=house)).ledger.size == size
    assert "champion" in run("models", "list", "--data-dir", house).output
    key = run("api-keys", "issue", "desk-1", "--scope", "trader", "--data-dir", house).output
    key_id = key.split("_")[1]
    assert key_id in run("api-keys", "list", "--data-dir", house).output
    assert run("api-keys", "revoke", key_id, "--data-dir", house).exit_code == 0
    assert "revoked" in run("api-keys", "list", "--data-dir", house).output
    assert "sealed at leaf" in run("ledger", "seal", "2026-11-25", "--data-dir", house).output
    assert '"honesty_schema"' in run("report", "honesty", "--data-dir", house).output
    assert '"correctness_schema"' in run("report", "correctness", "--data-dir", house).output
    assert "assay audit" in run("ledger", "export", "--data-dir", house).output
    audited = run("audit", house / "export", "--key", house / "log.vkey")
    assert audited.exit_code == 0, audited.output
    told = run("status", "--data-dir", house).output
    for word in ("tree size", "cli.example/log", "credit-default", "champion", "seal"):
        assert word in told


def test_init_prints_the_commands_that_come_next_and_they_are_commands(tmp_path):
    told = run("init", "--data-dir", tmp_path / "house").output
    following = [line.split() for line in told.splitlines() if line.startswith("  assay ")]
    assert len(following) == 3
    for _, *words in following:
        path = [word for word in words[:2] if not word.startswith("-")]
        assert tuple(path) in set(every_command()) or tuple(path[:1]) in set(every_command())


def test_the_house_is_found_by_the_environment_too(tmp_path):
    assert run("init", ASSAY_DATA_DIR=str(tmp_path / "house")).exit_code == 0
    assert "tree size" in run("status", ASSAY_DATA_DIR=str(tmp_path / "house")).output


# --- publish-reference ---------------------------------------------------------------------------


@pytest.fixture
def one_recipe(monkeypatch):
    """Only the quickest of the reference models is trained."""
    package = packages()[BASELINE_NAME]
    monkeypatch.setattr("models.reference.training.train_all", lambda **_: iter([package]))
    return package


def publish_reference(house):
    return run("models", "publish-reference", "--data-dir", house.settings.data_dir)


def lifecycle_of(house, name):
    return [e.type for e in assemble(house.settings).inventory.catalog().history(name)]


def test_publishing_finishes_what_an_earlier_run_left_undone(tmp_path, one_recipe):
    house = make_house(tmp_path / "house", models=())
    publish_package(house, one_recipe, actor_id=DEVELOPER)  # and then it was cut off
    assert "published, approved, promoted" in publish_reference(house).output
    whole = ["model.published", "model.approved", "model.promoted"]
    assert lifecycle_of(house, BASELINE_NAME) == whole
    assert "is published already" in publish_reference(house).output
    assert lifecycle_of(house, BASELINE_NAME) == whole


def test_publishing_again_brings_back_nothing_that_somebody_withdrew(tmp_path, one_recipe):
    house = make_house(tmp_path / "house", models=())
    publish_reference(house)
    withdraw(
        assemble(house.settings), digest=one_recipe.manifest.digest, reason="bad", actor_id="x"
    )
    assert "is published already" in publish_reference(house).output
    assert lifecycle_of(house, BASELINE_NAME)[-1] == "model.withdrawn"


def test_a_last_day_that_is_no_day_is_told_in_a_line(tmp_path):
    house = make_house(tmp_path / "house", models=())
    told = run(
        "models", "publish-reference", "--until", "soon", "--data-dir", house.settings.data_dir
    )
    assert told.exit_code in {1, 2}
    assert "Traceback" not in told.output
    assert told.exc_info[0] is SystemExit, told.exc_info


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("serve",),
        ("scheduler", "--once", "seal"),
        ("ledger", "export"),
        ("ledger", "seal"),
        ("api-keys", "list"),
        ("models", "list"),
        ("report", "honesty"),
    ],
    ids=" ".join,
)
def test_without_a_house_a_command_says_how_to_make_one_in_one_line(tmp_path, arguments):
    refused(run(*arguments, "--data-dir", tmp_path / "none"), "assay init --data-dir")
    assert not (tmp_path / "none").exists()


def test_init_twice_is_refused_and_changes_nothing(tmp_path):
    run("init", "--data-dir", tmp_path / "house")
    vkey = (tmp_path / "house" / "log.vkey").read_text()
    refused(run("init", "--data-dir", tmp_path / "house"), "already holds keys", "assay status")
    assert (tmp_path / "house" / "log.vkey").read_text() == vkey


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = make_house(tmp_path_factory.mktemp("cli") / "house", models=("trade-signal",))
    publish_package(made, packages()[BASELINE_NAME], actor_id=DEVELOPER)
    return made


@pytest.fixture(scope="module")
def at(house):
    return ("--data-dir", house.settings.data_dir)


WHY = ("--actor", "anna", "--reason", "MV-17")


@pytest.mark.parametrize("act", ["approve", "promote", "withdraw"])
@pytest.mark.parametrize("digest", ["sha256:" + "1" * 64, "sha256:42d4", "credit-default", ""])
def test_an_unknown_digest_is_one_line(at, act, digest):
    refused(run("models", act, digest, *WHY, *at))


def test_the_publisher_cannot_approve(house, at):
    digest = packages()[BASELINE_NAME].manifest.digest
    refused(
        run("models", "approve", digest, "--actor", DEVELOPER, "--reason", "mine", *at),
        "another person must approve it",
    )
    refused(run("models", "promote", digest, *WHY, *at), "not approved")


def test_approved_then_promoted_by_name_as_recorded(tmp_path):
    house = make_house(tmp_path / "house", models=())
    at = ("--data-dir", house.settings.data_dir)
    digest = publish_package(house, packages()[BASELINE_NAME], actor_id=DEVELOPER)
    assert run("models", "approve", digest, *WHY, *at).exit_code == 0
    assert run("models", "promote", digest, "--alias", "challenger", *WHY, *at).exit_code == 0
    assert run("models", "withdraw", digest, *WHY, *at).exit_code == 0
    refused(run("models", "withdraw", digest, *WHY, *at), "was withdrawn")
    entries = [parse_entry(e.entry) for e in assemble(house.settings).ledger.entries()][-3:]
    assert [entry.body["actor_id"] for entry in entries] == ["anna"] * 3
    assert [entry.data["reason"] for entry in entries] == ["MV-17"] * 3


@pytest.mark.parametrize("actor", ["", "  ", "x" * 200, "two\nlines"])
def test_a_caller_without_a_usable_name_gets_no_key(at, actor):
    refused(run("api-keys", "issue", actor, "--scope", "trader", *at), "actor")


def test_an_unknown_scope_is_told_with_those_there_are(at):
    told = run("api-keys", "issue", "desk", "--scope", "root", *at)
    assert told.exit_code == 2
    assert "trader" in told.output


def test_an_unknown_key_cannot_be_revoked(at):
    refused(run("api-keys", "revoke", "0" * 16, *at), "no API key")


def test_a_secret_is_printed_alone_so_that_a_script_can_take_it(at):
    told = CliRunner().invoke(
        main, ["api-keys", "issue", "desk", "--scope", "trader", *map(str, at)]
    )
    assert told.stdout.startswith("assay_")
    assert len(told.stdout.splitlines()) == 1
    assert "only time" in told.stderr
    assert told.stdout.strip()[-43:] not in run("api-keys", "list", *at).output


@pytest.mark.parametrize(
    ("name", "value"),
    [("ASSAY_PORT", "eighty"), ("ASSAY_WORKERS", "0"), ("ASSAY_MAX_ROWS", "1000000")],
)
def test_a_setting_of_no_use_is_told_by_its_name(at, name, value):
    refused(run("status", *at, **{name: value}), name, value)


def test_an_option_of_no_use_is_told_as_the_option(at):
    refused(run("serve", "--workers", "0", *at), "--workers")


def test_a_key_that_others_can_read_is_told_with_its_repair(tmp_path):
    house = make_house(tmp_path / "house", models=())
    (house.settings.keys_dir / "producer.key").chmod(0o644)
    refused(run("status", "--data-dir", house.settings.data_dir), "chmod 600", "producer.key")


def test_another_origin_is_told(at):
    refused(run("status", *at, ASSAY_ORIGIN="other.example/log"), "other.example")


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000])
def test_a_database_that_is_none_is_told_without_a_statement(tmp_path, content):
    house = make_house(tmp_path / "house", models=())
    house.engine.dispose()
    for path in house.settings.data_dir.glob("assay.db*"):
        path.unlink()
    (house.settings.data_dir / "assay.db").write_bytes(content)
    told = refused(run("status", "--data-dir", house.settings.data_dir))
    for word in ("SELECT", "sqlalche.me", "parameters"):
        assert word not in told


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    told = run("init", "--data-dir", tmp_path / "file" / "house")
    assert told.exit_code in {1, 2}
    assert "Traceback" not in told.output
    assert told.exc_info[0] is SystemExit


def test_an_error_nobody_foresaw_keeps_its_trace(at, monkeypatch):
    def explode(*_, **__):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("service.assembly.assemble", explode)
    told = run("status", *at)
    assert told.exit_code == 1
    assert isinstance(told.exception, RuntimeError)


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(tmp_path):
    import socket

    house = make_house(tmp_path / "house", models=())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [
                *(sys.executable, "-m", "service", "serve", "--port", port, "--data-dir"),
                str(house.settings.data_dir),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "default"},
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
