"""Logs whose bytes all hold and whose deeds do not: each dishonesty fails its own check, by leaf."""

import base64
import json

import pytest

from ledger.keys import Role, SigningKey
from models.hub.provenance import pae, seal_envelope, statement_bytes
from service.auditor.verify import CLAIMS, FINDINGS_KEPT
from service.verification.policy import DEFAULT_POLICY, Policy, Rule

SHA0 = "sha256:" + "0" * 64


def test_a_house_in_order_verifies_in_every_check(house, audit, as_json):
    report = audit(house)
    assert report.failed == 0
    assert report.findings == ()
    assert {check["verdict"] for check in as_json(report)["checks"]} == {"VERIFIED"}
    assert {check["detail"] for check in as_json(report)["checks"]} == {""}
    assert {check.check for check in report.checks} >= set(CLAIMS)


# What a house should refuse, recorded all the same. Each returns the leaf that must be named.


def unapproved(log):
    return log.predict(log.publish())


def approved_too_late(log):
    digest = log.publish()
    leaf = log.predict(digest)
    log.approve(digest)
    return leaf


def approved_by_its_publisher(log):
    digest = log.publish(actor="ada")
    leaf = log.approve(digest, actor="ada")
    log.predict(digest)
    return leaf


def approved_under_another_name(log):
    digest = log.publish()
    leaf = log.approve(digest, name="value-at-risk")
    log.predict(digest)
    return leaf


def withdrawn(log):
    digest = log.publish()
    log.approve(digest)
    log.predict(digest)
    log.withdraw(digest)
    return log.predict(digest)


def withdrawn_then_approved_again(log):
    digest = log.publish()
    log.approve(digest)
    log.withdraw(digest)
    log.approve(digest)
    return log.predict(digest)


def under_another_models_name(log):
    """A lenient rule of the policy might be that other model's."""
    digest = log.publish()
    log.approve(digest)
    return log.predict(digest, model_name="value-at-risk")


def under_another_policy(log):
    digest = log.publish()
    log.approve(digest)
    return log.predict(digest, policy_digest=SHA0)


DEEDS = {
    "approved_before_use": (unapproved, approved_too_late),
    "approval": (approved_by_its_publisher, approved_under_another_name),
    "not_withdrawn_at_use": (withdrawn, withdrawn_then_approved_again),
    "model_name": (under_another_models_name,),
    "policy_named": (under_another_policy,),
}


@pytest.mark.parametrize(
    ("check", "deed"),
    [(check, deed) for check, deeds in DEEDS.items() for deed in deeds],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_deed_fails_its_own_check_alone(log, audit, failed, check, deed):
    leaf = deed(log)
    names, first = failed(audit(log))
    assert names == [check]
    assert first[check].leaf == leaf


def test_an_approval_before_publication_fails(log, audit, failed, made):
    leaf = log.approve(made().digest)
    log.publish()
    names, first = failed(audit(log))
    assert names == ["approval"]
    assert (first["approval"].leaf, first["approval"].got) == (leaf, "none")


def test_a_model_nobody_published_fails_by_name_and_approval_and_cannot_be_run(log, audit, failed):
    leaf = log.predict(SHA0)
    report = audit(log)
    names, first = failed(report)
    assert names == ["approved_before_use", "model_name"]
    assert first["model_name"].leaf == leaf
    assert report.unchecked[0].check == "execution"
    assert f"{SHA0} is not in the export" in report.unchecked[0].detail


def test_a_producers_key_may_not_report_outcomes(house, audit, failed):
    leaf = house.outcome(house.predictions[1], key=house.keys[Role.PRODUCER])
    names, first = failed(audit(house))
    assert names == ["outcome_source", "signer"]
    assert first["outcome_source"].leaf == leaf


# Policies brought from outside.


def test_another_policy_fails_every_prediction_made_under_the_old_one(house, audit, failed):
    report = audit(house, policy=Policy("mine"))
    assert failed(report)[0] == ["policy_named"]
    assert report.failed == len(house.predictions)
    assert report.to_json()["policy_digest"] == Policy("mine").digest


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        (Rule(modes=("tee",)), "mode_accepted"),
        (Rule(environments=(SHA0,)), "environment_accepted"),
    ],
)
def test_what_the_policy_does_not_accept_fails(log, audit, failed, rule, check):
    policy = Policy("strict", models={"trade-signal": rule})
    digest = log.publish()
    log.approve(digest)
    leaf = log.predict(digest, policy_digest=policy.digest)
    names, first = failed(audit(log, policy=policy))
    assert names == [check]
    assert first[check].leaf == leaf


def test_a_mode_nobody_knows_fails_and_leaves_the_rest_unchecked(log, audit, failed):
    digest = log.publish()
    log.approve(digest)
    leaf = log.predict(digest, verification_mode="vibes")
    report = audit(log)
    names, first = failed(report)
    assert names == ["mode_accepted"]
    assert first["mode_accepted"].leaf == leaf
    assert [c.check for c in report.unchecked] == ["policy_named", "environment_accepted"]
    assert "mode vibes does not settle it" in report.unchecked[0].detail


# The publication: manifest and provenance.


def test_a_published_name_or_version_that_is_not_the_manifests_fails(log, audit, failed):
    log.publish(version="9.9.9")
    names, first = failed(audit(log))
    assert names == ["manifest"]
    assert (first["manifest"].expected, first["manifest"].got) == (
        "name trade-signal, version 9.9.9",
        "name trade-signal, version 1.0.0",
    )


@pytest.mark.parametrize("blob", [b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"schema":1}'])
def test_bytes_that_are_no_manifest_fail(log, audit, failed, blob):
    log.publish(model_digest=log.blob(blob))
    assert "manifest" in failed(audit(log))[0]


def _published_with(log, made, envelope):
    """Publish with a provenance envelope of the test's making; returns the leaf."""
    log.publish(made, provenance_digest=log.blob(envelope))
    return len(log.entries) - 1


def _seal(statement, key, **changed):
    parts = json.loads(seal_envelope(statement, key_id=key.key_id, sign=key.sign))
    return json.dumps({**parts, **changed}).encode()


STRANGER = SigningKey(b"\7" * 32)
STATEMENT = b'{"_type":"https://in-toto.io/Statement/v1"%b}'
ZEROS = base64.b64encode(bytes(64)).decode()
# By what is wrong with them; `good` is the right statement, `key` the publisher's.
ENVELOPES = {
    "no JSON": lambda good, key: b"{",
    "a list": lambda good, key: b"[]",
    "nested too deep": lambda good, key: b"[" * 100_000,
    "too long": lambda good, key: b" " * ((1 << 20) + 1),
    "no signature": lambda good, key: _seal(good, key, signatures=[]),
    "signatures as text": lambda good, key: _seal(good, key, signatures="none"),
    "no key id": lambda good, key: _seal(good, key, signatures=[{"sig": ZEROS}]),
    "signed by a stranger": lambda good, key: _seal(good, STRANGER),
    "a signature of zeros": lambda good, key: _seal(
        good, key, signatures=[{"keyid": key.key_id, "sig": ZEROS}]
    ),
    "a signature not in base64": lambda good, key: _seal(
        good, key, signatures=[{"keyid": key.key_id, "sig": "!"}]
    ),
    "base64 spelled otherwise": lambda good, key: _respelled(_seal(good, key)),
    "another payload type": lambda good, key: _seal(good, key, payloadType="text/plain"),
    "changed after signing": lambda good, key: _seal(
        good, key, payload=base64.b64encode(good + b" ").decode()
    ),
    "payload as a number": lambda good, key: _seal(good, key, payload=7),
    "payload not in base64": lambda good, key: _seal(good, key, payload="!!"),
    "an extra key": lambda good, key: _seal(good, key, extra=1),
    "about another model": lambda good, key: _seal(_about(good, "0" * 64), key),
    "about nothing": lambda good, key: _seal(STATEMENT % b"", key),
    "subjects of another form": lambda good, key: _seal(
        STATEMENT % b',"subject":["x",{"digest":"y"},{"digest":{"sha256":7}}]', key
    ),
    "another statement type": lambda good, key: _seal(
        good.replace(b"in-toto.io/Statement/v1", b"in-toto.io/Statement/v0.1"), key
    ),
    "a statement that is a list": lambda good, key: _seal(b"[]", key),
}


def _about(statement, digest):
    value = json.loads(statement)
    value["subject"][0]["digest"]["sha256"] = digest
    return json.dumps(value).encode()


def _respelled(envelope):
    """The signature with its spare last bits set: other text, same 64 bytes."""
    parts = json.loads(envelope)
    text = parts["signatures"][0]["sig"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet[alphabet.index(text[85]) ^ 1]
    parts["signatures"][0]["sig"] = text[:85] + last + text[86:]
    assert base64.b64decode(parts["signatures"][0]["sig"]) == base64.b64decode(text)
    return json.dumps(parts).encode()


@pytest.mark.parametrize("wrong", ENVELOPES.values(), ids=ENVELOPES.keys())
def test_provenance_that_proves_nothing_fails(log, audit, failed, made, wrong):
    envelope = wrong(statement_bytes(made()), log.keys[Role.PUBLISHER])
    leaf = _published_with(log, made(), envelope)
    names, first = failed(audit(log))
    assert names == ["provenance"]
    assert first["provenance"].leaf == leaf


def test_a_second_signature_by_somebody_unknown_is_ignored(log, audit, failed, made):
    key = log.keys[Role.PUBLISHER]
    payload = statement_bytes(made())
    message = pae("application/vnd.in-toto+json", payload)
    both = [
        {"keyid": k.key_id, "sig": base64.b64encode(k.sign(message)).decode()}
        for k in (STRANGER, key)
    ]
    _published_with(log, made(), _seal(payload, key, signatures=both))
    assert failed(audit(log))[0] == []


def test_a_second_publishers_envelope_will_not_do(log, audit, failed, made):
    """The key that signs the publication signs the provenance: no other publisher stands in."""
    second = SigningKey(b"\10" * 32)
    log.introduce(second, Role.PUBLISHER, "house:second")
    _published_with(log, made(), _seal(statement_bytes(made()), second))
    assert failed(audit(log))[0] == ["provenance"]


def test_a_blob_that_is_not_in_the_export_leaves_its_check_undone(log, audit, as_json):
    digest = log.publish()
    log.approve(digest)
    log.predict(digest)
    log.blobs.clear()
    report = audit(log)
    assert report.failed == 0
    assert report.findings == ()
    assert [c.check for c in report.unchecked] == ["manifest", "provenance", "execution"]
    assert "not in the export" in report.unchecked[0].detail
    shown = {c["check"]: c for c in as_json(report)["checks"]}
    assert shown["manifest"]["verdict"] == "NOT_CHECKED"
    assert shown["manifest"]["counts"] == {"examined": 1, "failed": 0, "unchecked": 1}


def test_the_default_policy_is_what_the_paper_house_names(house, audit):
    assert audit(house).policy_digest == DEFAULT_POLICY.digest


def test_a_publisher_may_withdraw_what_it_published(log, audit, failed):
    digest = log.publish(actor="ada")
    log.approve(digest, actor="ada", kind="model.withdrawn")
    assert failed(audit(log))[0] == []


def test_a_publishers_key_introduced_afterwards_signs_nothing_before(log, audit, failed):
    late = SigningKey(b"\11" * 32)
    leaf = len(log.entries)
    log.publish(key=late)
    log.introduce(late, Role.PUBLISHER, "house:late")
    names, first = failed(audit(log))
    assert names == ["provenance", "signer"]
    assert first["provenance"].leaf == leaf


def test_a_publishers_key_nobody_introduced_signs_nothing(log, audit, failed):
    log.publish(key=STRANGER)
    assert failed(audit(log))[0] == ["provenance", "signer"]


def test_an_approval_with_the_publishers_key_is_no_second_pair_of_eyes(log, audit, failed):
    digest = log.publish()
    data = {"model_digest": digest, "name": "trade-signal", "reason": "tests"}
    log.add("model.approved", data, log.keys[Role.PUBLISHER], "grace")
    assert failed(audit(log))[0] == ["approval", "signer"]


def test_failures_are_counted_in_full_and_listed_up_to_a_bound(log, audit, as_json):
    digest = log.publish()
    log.approve(digest)
    log.predict(digest)
    for _ in range(FINDINGS_KEPT + 5):
        log.predict(digest, policy_digest=SHA0)
    report = audit(log, replay=False)
    check = next(c for c in as_json(report)["checks"] if c["check"] == "policy_named")
    assert check["counts"] == {
        "examined": FINDINGS_KEPT + 6,
        "failed": FINDINGS_KEPT + 5,
        "unchecked": 0,
    }
    assert len(report.findings) == FINDINGS_KEPT
    assert report.failed == FINDINGS_KEPT + 5


def test_another_manifest_stored_under_the_digest_fails(log, audit, failed, made):
    digest = log.publish()
    log.blobs[digest] = made(owner="somebody else").to_bytes()
    names, first = failed(audit(log))
    assert names == ["blob", "manifest"]
    assert first["manifest"].expected == f"bytes of {digest}"


def test_a_manifest_whose_version_is_a_number_fails(log, audit, failed, made):
    value = json.loads(made().to_bytes())
    blob = json.dumps({**value, "version": 1}).encode()
    log.publish(model_digest=log.blob(blob), version="1")
    _, first = failed(audit(log))
    assert first["manifest"].expected == "a name and a version in text"
