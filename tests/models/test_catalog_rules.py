"""The catalog: what may run follows from events alone; an event that breaks a rule changes nothing."""

import pytest

from models.errors import NotApproved, UnknownModel, Withdrawn
from models.hub.catalog import Catalog, LifecycleEvent, ModelRef

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


class Story:
    def __init__(self):
        self.catalog, self.leaf = Catalog(), 10

    def tell(self, kind, digest=ONE, *, actor="val", name="risk", at=None, **data):
        self.leaf += 1
        moment = at or f"2026-01-{self.leaf:02d}T00:00:00.000Z"
        event = LifecycleEvent(
            leaf=self.leaf,
            type=f"model.{kind}",
            time=moment,
            actor=actor,
            data={"model_digest": digest, "name": name, **data},
        )
        self.catalog.apply(event)
        return self.leaf


@pytest.fixture
def story():
    return Story()


def live(story, digest=ONE):
    story.tell("published", digest, actor="dev")
    story.tell("approved", digest)
    return story.tell("promoted", digest, alias="champion")


def test_published_approved_promoted_runs_by_name_alias_and_digest(story):
    live(story)
    for ref in ("risk", "risk@champion", ONE):
        assert story.catalog.resolve(ref) == ModelRef(ONE, "risk")


def test_published_alone_may_not_run(story):
    story.tell("published", actor="dev")
    with pytest.raises(NotApproved):
        story.catalog.resolve(ONE)


def test_publisher_cannot_approve(story):
    story.tell("published", actor="dev")
    story.tell("approved", actor="dev")
    with pytest.raises(NotApproved):
        story.catalog.resolve(ONE)
    assert [reason for _, reason in story.catalog.ignored] == ["the publisher cannot approve"]


def test_unapproved_cannot_be_promoted(story):
    story.tell("published", actor="dev")
    story.tell("promoted", alias="champion")
    with pytest.raises(UnknownModel):
        story.catalog.resolve("risk")


def test_withdrawn_may_not_run_and_cannot_come_back(story):
    live(story)
    leaf = story.tell("withdrawn", reason="drifted")
    story.tell("approved")
    story.tell("promoted", alias="champion")
    for ref in ("risk", ONE):
        with pytest.raises(Withdrawn, match=f"entry {leaf}"):
            story.catalog.resolve(ref)


def test_events_of_an_unpublished_digest_change_nothing(story):
    for kind in ("approved", "promoted", "withdrawn"):
        story.tell(kind, alias="champion")
    assert story.catalog.models() == []
    assert story.catalog.history("risk") == []
    assert len(story.catalog.ignored) == 3


def test_digest_under_two_names_keeps_the_first(story):
    live(story)
    story.tell("published", name="other", actor="dev")
    story.tell("approved", name="other")
    assert [model.name for model in story.catalog.models()] == ["risk"]
    assert story.catalog.resolve(ONE).name == "risk"


def test_event_of_unknown_type_changes_nothing(story):
    live(story)
    story.tell("blessed")
    assert len(story.catalog.ignored) == 1


@pytest.mark.parametrize(
    "ref", ["", "unknown", "risk@challenger", "@champion", "risk@", "sha256:", TWO, "x" * 10_000]
)
def test_unknown_reference_is_refused(story, ref):
    live(story)
    if ref == "risk@":
        assert story.catalog.resolve(ref).digest == ONE  # no alias named: the champion
        return
    with pytest.raises(UnknownModel) as caught:
        story.catalog.resolve(ref)
    assert len(str(caught.value)) < 400


def test_newest_version_is_shown_and_the_champion_stays(story):
    live(story)
    leaf = story.tell("published", TWO, actor="dev")
    (model,) = story.catalog.models()
    assert (model.latest_digest, model.status, model.published_leaf) == (TWO, "published", leaf)
    assert model.aliases == {"champion": ONE}


def test_as_of_names_the_entry_that_put_it_there(story):
    first = live(story)  # promoted on the 13th
    second = live(story, TWO)  # promoted on the 16th
    assert story.catalog.as_of("risk", "2026-01-13T00:00:00.000Z") == (ONE, first)
    assert story.catalog.as_of("risk", "2026-01-15T23:59:59.999Z") == (ONE, first)
    assert story.catalog.as_of("risk", "2026-01-16") == (TWO, second)
    assert story.catalog.as_of("risk", "2026-01-16T01:00:00+02:00") == (ONE, first)
    with pytest.raises(UnknownModel):
        story.catalog.as_of("risk", "2026-01-12T23:59:59.999Z")


def test_as_of_after_a_withdrawal_names_nothing(story):
    live(story)
    story.tell("withdrawn", reason="drifted")
    with pytest.raises(UnknownModel):
        story.catalog.as_of("risk", "2026-02-01")


def test_other_aliases_are_not_production(story):
    story.tell("published", actor="dev")
    story.tell("approved")
    story.tell("promoted", alias="challenger")
    with pytest.raises(UnknownModel):
        story.catalog.as_of("risk", "2026-02-01")


@pytest.mark.parametrize("moment", ["yesterday", "", "2026-13-01"])
def test_time_that_is_none_is_refused(story, moment):
    live(story)
    with pytest.raises(UnknownModel):
        story.catalog.as_of("risk", moment)
