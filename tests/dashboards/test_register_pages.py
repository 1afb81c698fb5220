"""The register prints what model risk asks for; a withdrawn model says who, when, why, and who used it."""

import hashlib

import pytest

GONE = "sha256:" + hashlib.sha256(b"trade-signal").hexdigest()
HERE = "sha256:" + hashlib.sha256(b"value-at-risk").hexdigest()


def test_a_line_says_owner_purpose_tier_validator_review_vendor_and_what_is_due(site):
    words = site.page("/register").words
    for told in (
        "market risk; made by a vendor",
        "one-day loss of a trading book",
        "high",
        "conditions, by anna",
        "2026-06-30",
        "review was due on 2026-06-30",
        "withdrawn by risk:okafor",
        "leaks the target",
    ):
        assert told in words, told


def test_only_what_is_overdue(site):
    words = site.page("/register?overdue=1").words
    assert "value-at-risk" in words
    assert "leaks the target" not in words
    site.house.answers["/v1/hub/register"]["models"] = []
    assert "Nothing is overdue." in site.page("/register?overdue=1").words
    assert "No model was published yet." in site.page("/register").words


def test_who_relied_on_a_withdrawn_model(site):
    page = site.page(f"/register/{GONE}")
    for told in (
        "Withdrawn by risk:okafor",
        "leaks the target",
        "119",
        "desk-1",
        "120, leaf 40 to 170",
    ):
        assert told in page.words, told
    assert page.all("a", href=f"/register/{GONE}?since=45")


def test_a_model_in_use_has_no_withdrawal(site):
    assert "Withdrawn by" not in site.page(f"/register/{HERE}").words


def test_the_page_asked_for_is_the_page_read(site):
    site.page(f"/register/{HERE}?since=45")
    assert site.house.asked[-1] == f"/v1/hub/models/{HERE}/reliance?since=45&limit=50"


@pytest.mark.parametrize("digest", ["sha256:0", "x", "sha256:" + "g" * 64])
def test_what_is_no_digest_is_not_found(site, digest):
    site.page(f"/register/{digest}", 404)


def test_hostile_text_is_text(site):
    line = site.house.answers["/v1/hub/register"]["models"][0]
    line["purpose"] = line["owner"] = line["vendor"] = "<script>alert(1)</script>"
    page = site.page("/register")
    assert "<script>alert(1)" not in page.source
