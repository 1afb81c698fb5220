"""Alarms told: to a real webhook and a real mail server, again until taken, never in anybody's way."""

import email
import email.policy
import time
from datetime import timedelta

import pytest

from ledger.record import unsigned_body
from logs import only_sqlite
from receivers import Hook, Mail
from service import alerts_channels, alerts_delivery, jobs
from service.alerts import acknowledge, close, raise_about_job, raise_by_hand
from service.alerts_channels import Channel, ChannelsRefused, read_channels
from service.alerts_delivery import deliver
from service.alerts_read import alarms
from service.assembly import assemble


@pytest.fixture
def hook():
    made = Hook()
    yield made
    made.stop()


@pytest.fixture
def mail():
    made = Mail()
    yield made
    made.stop()


def channels_file(path, **addresses):
    text = "".join(f'[{name}]\nurl = "{url}"\n' for name, url in addresses.items())
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def telling(house, tmp_path):
    """The same house with channels, and another clock if wanted."""
    opened = []

    def make(clock=None, **addresses):
        settings = house.settings.model_copy(
            update={
                "alert_channels": channels_file(tmp_path / "channels.toml", **addresses),
                "public_url": "https://assay.bank.example/",
            }
        )
        opened.append(assemble(settings, clock or house.clock))
        return opened[-1]

    yield make
    for made in opened:
        made.engine.dispose()


def red(house):
    digest = house.inventory.resolve("credit-default").digest
    raise_by_hand(house, digest=digest, detail="it lies", action="blocked", actor_id="risk-1")
    return alarms(house.ledger)[-1]


def amber(house):
    raise_about_job(house, "drift", cause="job_failed", detail="it failed", actor_id="s")
    return alarms(house.ledger)[-1]


def delivered(house):
    found = [unsigned_body(e.entry)["data"] for e in house.ledger.entries(type="alarm.delivered")]
    return [(data["channel"], data["attempts"], data["result"]) for data in found]


# --- told --------------------------------------------------------------------------------------


def test_a_webhook_gets_the_alarm_once_and_the_log_says_so(telling, hook):
    house = telling(hook=hook.address)
    alarm = red(house)
    assert deliver(house) == "told 1, failed 0"
    assert deliver(house) == ""
    (posted,) = hook.posted
    assert posted["title"] == f"[Assay] red alarm {alarm.leaf}: person {alarm.about}"
    assert "it lies" in posted["message"]
    assert f"https://assay.bank.example/alarms/{alarm.leaf}" in posted["message"]
    assert posted["type"] == "failure"
    assert delivered(house) == [("hook", 1, "delivered")]


def test_a_mail_server_gets_the_alarm(telling, mail):
    house = telling(risk=mail.address)
    alarm = amber(house)
    assert deliver(house) == "told 1, failed 0"
    ((sender, recipients, text),) = mail.received
    assert "assay@bank.example" in sender
    assert recipients == ["<risk@bank.example>"]
    message = email.message_from_string(text, policy=email.policy.default)
    assert message["Subject"] == f"[Assay] amber alarm {alarm.leaf}: job_failed job:drift"
    assert "it failed" in message.get_body(("plain", "html")).get_content()
    assert delivered(house) == [("risk", 1, "delivered")]


def test_no_text_of_an_alarm_makes_a_header_of_its_own(telling, mail):
    house = telling(risk=mail.address)
    told = "x\r\nBcc: thief@example\r\n\r\n.\r\nMAIL FROM:<a@b>"
    raise_about_job(house, "seal", cause="job_failed", detail=told, actor_id="s")
    deliver(house)
    ((_, recipients, text),) = mail.received
    assert recipients == ["<risk@bank.example>"]
    assert email.message_from_string(text)["Bcc"] is None


def test_a_closed_alarm_is_not_told_and_an_acknowledged_one_is(telling, hook):
    house = telling(hook=hook.address)
    closed, seen = amber(house), red(house)
    close(house, closed.leaf, comment="over", actor_id="a")
    acknowledge(house, seen.leaf, comment="seen", actor_id="a")
    deliver(house)
    assert [posted["title"].split()[3] for posted in hook.posted] == [f"{seen.leaf}:"]


def test_a_channel_for_red_alarms_is_told_no_other(telling, hook, tmp_path):
    house = telling(hook=hook.address)
    file = tmp_path / "channels.toml"
    file.write_text(file.read_text("utf-8") + 'severity = "red"\n', "utf-8")
    amber(house)
    assert deliver(house) == ""
    red(house)
    assert deliver(house) == "told 1, failed 0"


def test_without_channels_nothing_is_told_and_nothing_fails(house):
    red(house)
    assert deliver(house) == ""


# --- failures ----------------------------------------------------------------------------------


def test_a_failure_is_tried_again_later_and_at_last_taken(house, telling):
    hook = Hook(500, 503, 200)
    start, waited = house.clock(), []
    for minutes in (0, 0, 0.6, 0.7, 3):
        made = telling(lambda m=minutes: start + timedelta(minutes=m), hook=hook.address)
        if minutes == 0 and not waited:
            red(made)
        waited.append(deliver(made))
    hook.stop()
    assert waited == ["told 0, failed 1", "", "told 0, failed 1", "", "told 1, failed 0"]
    assert delivered(house) == [("hook", 3, "delivered")]


def test_what_never_works_is_given_up_on_record(house, telling, monkeypatch):
    monkeypatch.setattr(alerts_delivery, "TRIES", 2)
    start = house.clock()
    made = telling(hook="json://127.0.0.1:9/nobody")
    alarm = red(made)
    assert deliver(made) == "told 0, failed 1"
    late = telling(lambda: start + timedelta(hours=1), hook="json://127.0.0.1:9/nobody")
    assert deliver(late) == "told 0, failed 1"
    assert deliver(late) == ""
    assert delivered(house) == [("hook", 2, "given_up")]
    (row,) = alerts_delivery.deliveries(late, alarms(late.ledger)[0])
    assert (row["state"], row["attempts"], row["leaf_index"] > alarm.leaf) == ("given_up", 2, True)


def test_a_waiting_delivery_is_shown_with_its_next_try(telling):
    house = telling(hook="json://127.0.0.1:9/nobody")
    alarm = red(house)
    deliver(house)
    (row,) = alerts_delivery.deliveries(house, alarm)
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert row["next_try_at"] > house.now()
    assert row["error"] == "the server could not be reached, or refused it"


def test_a_failing_channel_keeps_no_other_from_being_told(telling, hook, mail):
    refusing = Mail(refuse=True)
    house = telling(broken="json://127.0.0.1:9/x", no=refusing.address, hook=hook.address)
    red(house)
    assert deliver(house) == "told 1, failed 2"
    refusing.stop()
    assert len(hook.posted) == 1
    assert delivered(house) == [("hook", 1, "delivered")]


@only_sqlite
@pytest.mark.slow
def test_a_silent_server_holds_nobody_up_for_long(telling, monkeypatch):
    monkeypatch.setattr(alerts_channels, "_TIMES", "cto=1&rto=1")
    silent = Mail(silent=True)
    house = telling(slow=silent.address)
    red(house)
    before = time.monotonic()
    assert deliver(house) == "told 0, failed 1"
    assert time.monotonic() - before < 10
    silent.stop()


def test_a_redirect_is_not_followed(telling):
    hook = Hook(307)
    house = telling(hook=hook.address)
    red(house)
    assert deliver(house) == "told 0, failed 1"
    assert len(hook.posted) == 1
    hook.stop()


def test_a_plugin_that_raises_is_a_failure_like_any_other(telling, monkeypatch, hook):
    house = telling(hook=hook.address)
    red(house)

    class Broken:
        def notify(self, **_):
            raise RuntimeError("secret-password")

    monkeypatch.setattr(alerts_channels, "_service", lambda _: Broken())
    assert deliver(house) == "told 0, failed 1"
    (row,) = alerts_delivery.deliveries(house, alarms(house.ledger)[0])
    assert row["error"] == "the channel failed: RuntimeError"


def test_a_crash_between_the_answer_and_the_entry_tells_twice_and_records_once(
    telling, hook, monkeypatch
):
    house = telling(hook=hook.address)
    red(house)

    def crash(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(alerts_delivery, "_record", crash)
    with pytest.raises(KeyboardInterrupt):
        deliver(house)
    monkeypatch.undo()
    assert deliver(house) == "told 1, failed 0"
    assert len(hook.posted) == 2
    assert delivered(house) == [("hook", 1, "delivered")]


def test_the_job_fails_on_a_bad_file_and_says_so_without_its_passwords(telling, tmp_path, capsys):
    house = telling(hook="json://user:secret-word@127.0.0.1:9/x")
    (tmp_path / "channels.toml").chmod(0o644)
    for _ in range(3):
        jobs._logged(house, "deliver")()
    assert "secret-word" not in "".join(capsys.readouterr())
    (alarm,) = alarms(house.ledger)
    assert "chmod 600" in alarm.data["detail"]


def test_no_address_reaches_a_log_or_an_entry(telling, capfd):
    house = telling(hook="json://user:secret-word@127.0.0.1:9/x")
    red(house)
    deliver(house)
    assert "secret-word" not in "".join(capfd.readouterr())
    assert "secret-word" not in repr(Channel("hook", "json://user:secret-word@h"))
    assert not any(b"secret-word" in e.entry for e in house.ledger.entries())


# --- the file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not toml", "not TOML"),
        ('[Risk]\nurl = "json://h"\n', "a-z"),
        ("[risk]\n", "no address"),
        ('[risk]\nurl = "nonsense://h"\n', "no address"),
        ("[risk]\nurl = 5\n", "no address"),
        ('[risk]\nurl = "json://h"\nseverity = "pink"\n', "severity"),
        ('[risk]\nurl = "json://h"\ncolour = "red"\n', "url and perhaps"),
        ("risk = 1\n", "url and perhaps"),
        ("".join(f'[c{i}]\nurl = "json://h"\n' for i in range(33)), "at most 32"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "channels.toml"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(ChannelsRefused, match=reason):
        read_channels(path)


def test_a_missing_file_and_one_that_others_may_read_are_refused(tmp_path):
    with pytest.raises(ChannelsRefused, match="cannot be read"):
        read_channels(tmp_path / "none.toml")
    path = channels_file(tmp_path / "channels.toml", a="json://h")
    assert [channel.name for channel in read_channels(path)] == ["a"]
    path.chmod(0o640)
    with pytest.raises(ChannelsRefused, match="chmod 600"):
        read_channels(path)
