"""Mode `signed`, the registry, and the three verdicts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.keys import SigningKey
from service.verification import registry
from service.verification.evidence import (
    AttestationResult,
    Claim,
    ClaimResult,
    Evidence,
    Run,
    SignedRecord,
    Verdict,
    worst,
)
from service.verification.policy import DEFAULT_POLICY, Policy, Rule

ENVIRONMENT = "sha256:" + "e" * 64
KEY = SigningKey(bytes(range(32)))
OTHER = SigningKey(bytes(reversed(range(32))))
MESSAGE = b"what was recorded"


def run(**changes):
    facts = {
        "model_digest": "sha256:" + "a" * 64,
        "model_name": "credit-default",
        "policy_digest": DEFAULT_POLICY.digest,
        "environment_digest": ENVIRONMENT,
        "producer": KEY.key_id,
    }
    return Run(**{**facts, **changes})


def signed(key=KEY, message=MESSAGE, signature=None):
    return SignedRecord(message, signature or key.sign(message), key.public)


def verdicts(evidence, policy=DEFAULT_POLICY):
    return {c.claim: c.verdict for c in registry.appraise(evidence, policy).claims}


@pytest.mark.parametrize("found", list(itertools.product(Verdict, repeat=2)))
def test_the_worst_of_two_verdicts(found):
    if Verdict.FAILED in found:
        assert worst(found) is Verdict.FAILED
    elif Verdict.NOT_CHECKED in found:
        assert worst(found) is Verdict.NOT_CHECKED
    else:
        assert worst(found) is Verdict.VERIFIED


def test_no_verdict_at_all_is_not_checked():
    assert worst(()) is Verdict.NOT_CHECKED


def test_a_record_signed_by_its_producer_verifies():
    result = registry.appraise(Evidence("signed", run(), signed()), DEFAULT_POLICY)
    assert result.verdict is Verdict.VERIFIED
    assert not result.failures
    assert result.policy_digest == DEFAULT_POLICY.digest


def test_a_signature_never_settles_who_computed():
    result = registry.appraise(Evidence("signed", run(), signed()), DEFAULT_POLICY)
    assert result.beyond_mode == (Claim.COMPUTED_BY_MODEL,)
    assert Claim.COMPUTED_BY_MODEL not in {c.claim for c in result.claims}


def test_before_the_append_the_signature_is_not_checked():
    evidence = registry.attest("signed", run())
    assert evidence.record is None
    found = verdicts(evidence)
    assert found.pop(Claim.SIGNED_BY_PRODUCER) is Verdict.NOT_CHECKED
    assert set(found.values()) == {Verdict.VERIFIED}


FAILED = {
    "another policy": (run(policy_digest="sha256:" + "0" * 64), signed(), Claim.POLICY_NAMED),
    "another key": (run(), signed(OTHER), Claim.SIGNED_BY_PRODUCER),
    "another message": (
        run(),
        signed(signature=KEY.sign(b"something else")),
        Claim.SIGNED_BY_PRODUCER,
    ),
    "a short signature": (run(), signed(signature=b"\0" * 63), Claim.SIGNED_BY_PRODUCER),
}


@pytest.mark.parametrize(("claimed", "record", "claim"), FAILED.values(), ids=FAILED.keys())
def test_a_claim_that_does_not_hold_fails_alone(claimed, record, claim):
    found = verdicts(Evidence("signed", claimed, record))
    assert found.pop(claim) is Verdict.FAILED
    assert set(found.values()) == {Verdict.VERIFIED}


def test_a_key_of_small_order_is_no_producer():
    point = bytes.fromhex("01" + "00" * 31)
    from ledger.keys import key_id

    record = SignedRecord(MESSAGE, point + bytes(32), point)
    found = verdicts(Evidence("signed", run(producer=key_id(point)), record))
    assert found[Claim.SIGNED_BY_PRODUCER] is Verdict.FAILED


@given(st.integers(0, 511), st.booleans())
def test_any_flipped_bit_of_message_or_signature_fails(bit, of_message):
    record = signed()
    data = bytearray(record.message if of_message else record.signature)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    changed = (
        SignedRecord(bytes(data), record.signature, record.public_key)
        if of_message
        else SignedRecord(record.message, bytes(data), record.public_key)
    )
    found = verdicts(Evidence("signed", run(), changed))
    assert found[Claim.SIGNED_BY_PRODUCER] is Verdict.FAILED


@pytest.mark.parametrize(
    ("rule", "claim"),
    [
        (Rule(modes=("tee",)), Claim.MODE_ACCEPTED),
        (Rule(environments=("sha256:" + "f" * 64,)), Claim.ENVIRONMENT_ACCEPTED),
    ],
)
def test_what_the_policy_does_not_accept_fails(rule, claim):
    policy = Policy("strict", models={"credit-default": rule})
    found = verdicts(Evidence("signed", run(policy_digest=policy.digest), signed()), policy)
    assert found.pop(claim) is Verdict.FAILED
    assert set(found.values()) == {Verdict.VERIFIED}


def test_a_rule_for_another_model_is_no_demand_on_this_one():
    policy = Policy("strict", models={"value-at-risk": Rule(modes=("tee",))})
    evidence = Evidence("signed", run(policy_digest=policy.digest), signed())
    assert registry.appraise(evidence, policy).verdict is Verdict.VERIFIED


def test_an_unknown_mode_is_a_failed_claim_and_settles_nothing():
    result = registry.appraise(Evidence("vibes", run()), DEFAULT_POLICY)
    assert [(c.claim, c.verdict) for c in result.claims] == [(Claim.MODE_ACCEPTED, Verdict.FAILED)]
    assert result.verdict is Verdict.FAILED
    assert set(result.beyond_mode) == set(Claim) - {Claim.MODE_ACCEPTED}


def test_attesting_in_an_unknown_mode_names_the_modes_there_are():
    with pytest.raises(registry.UnknownMode, match="signed"):
        registry.attest("vibes", run())


def test_a_result_without_claims_is_not_checked():
    assert AttestationResult("signed", "", (), ()).verdict is Verdict.NOT_CHECKED
    told = ClaimResult(Claim.POLICY_NAMED, Verdict.FAILED, "a", "b")
    assert AttestationResult("signed", "", (told,), ()).failures == (told,)
