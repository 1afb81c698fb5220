"""What may run: the catalog, folded from lifecycle events in the order somebody else recorded them.

A model is published; others validate, approve, put behind an alias or withdraw it. An event that
breaks a rule changes nothing and is kept in `ignored` with the reason: the events are already
history, so folding them must not fail. `champion` is the alias meant when none is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from models.errors import NotApproved, UnknownModel, Withdrawn
from models.hub.canonical import DIGEST

if TYPE_CHECKING:
    from collections.abc import Mapping

CHAMPION: Final = "champion"
ALIASES: Final = (CHAMPION, "challenger", "shadow")
UNSATISFACTORY: Final = "unsatisfactory"  # a validation after which nothing is approved


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """A recorded event; `leaf` is its place in whatever log keeps it."""

    leaf: int
    type: str  # model.published, .validated, .approved, .promoted or .withdrawn
    time: str
    actor: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model that may run."""

    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One name with all its versions. `status` is that of the newest version."""

    name: str
    aliases: Mapping[str, str]
    latest_digest: str
    status: str
    published_leaf: int


@dataclass(slots=True)
class Version:
    """One digest and what was decided about it; of several validations the newest."""

    digest: str
    name: str
    published: LifecycleEvent
    validated: LifecycleEvent | None = None
    approved: LifecycleEvent | None = None
    withdrawn: LifecycleEvent | None = None

    @property
    def status(self) -> str:
        """The last of publication, approval and withdrawal."""
        if self.withdrawn is not None:
            return "withdrawn"
        return "published" if self.approved is None else "approved"


@dataclass(slots=True)
class Catalog:
    """The state after every event applied so far."""

    _versions: dict[str, Version] = field(default_factory=dict)
    _aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    _history: dict[str, list[LifecycleEvent]] = field(default_factory=dict)
    ignored: list[tuple[LifecycleEvent, str]] = field(default_factory=list)

    def apply(self, event: LifecycleEvent) -> None:
        """Fold one event. One that breaks a rule is kept in `ignored`."""
        digest, name = str(event.data["model_digest"]), str(event.data["name"])
        reason = self._fold(event, digest, name)
        if reason is None:
            self._history.setdefault(name, []).append(event)
        else:
            self.ignored.append((event, reason))

    def models(self) -> list[CatalogModel]:
        """Every name ever published, in alphabetical order."""
        found = []
        for name in sorted(self._history):
            newest = [d for d, version in self._versions.items() if version.name == name][-1]
            found.append(
                CatalogModel(
                    name=name,
                    aliases=dict(self._aliases.get(name, {})),
                    latest_digest=newest,
                    status=self._versions[newest].status,
                    published_leaf=self._versions[newest].published.leaf,
                )
            )
        return found

    def history(self, name: str) -> list[LifecycleEvent]:
        """The events of one name, oldest first; empty when nothing was published under it."""
        return list(self._history.get(name, ()))

    def versions(self, name: str) -> list[Version]:
        """Every digest ever published under a name, oldest first, withdrawn ones included."""
        return [version for version in self._versions.values() if version.name == name]

    def version(self, digest: str) -> Version:
        """What was decided about a digest, whether or not it may run. Raises UnknownModel."""
        found = self._versions.get(digest)
        if found is None:
            raise UnknownModel(digest[:200])
        return found

    def digest_of(self, ref: str) -> str:
        """The digest that `name`, `name@alias` or `name@sha256:...` means, runnable or not.

        A name without an alias means its champion, else its newest version.
        """
        name, _, place = ref.partition("@")
        if DIGEST.fullmatch(name):
            return self.version(name).digest
        if not self.versions(name):
            raise UnknownModel(ref[:200])
        if DIGEST.fullmatch(place):
            found = self.version(place)
            if found.name != name:
                raise UnknownModel(ref[:200], f"{place} was published as {found.name}")
            return place
        if place or CHAMPION in self._aliases.get(name, {}):
            return self._behind(ref)
        return self.versions(name)[-1].digest

    def resolve(self, ref: str) -> ModelRef:
        """The model behind `name`, `name@alias` or a digest.

        Raises UnknownModel, NotApproved or Withdrawn.
        """
        digest = ref if ref.startswith("sha256:") else self._behind(ref)
        version = self._versions.get(digest)
        if version is None or not DIGEST.fullmatch(digest):
            raise UnknownModel(ref[:200])
        if version.withdrawn is not None:
            raise Withdrawn(version.name, digest, version.withdrawn.leaf)
        if version.approved is None:
            raise NotApproved(version.name, digest)
        return ModelRef(digest=digest, name=version.name)

    def as_of(self, name: str, moment: str) -> tuple[str, int]:
        """The digest in production under `name` at a time, and the leaf that put it there.

        A plain date means its first instant, UTC. Raises UnknownModel when nothing was.
        """
        until = _instant(moment)
        found: tuple[str, int] | None = None
        for event in self._history.get(name, ()):
            if _instant(event.time) > until:
                continue
            digest = str(event.data["model_digest"])
            if event.type == "model.promoted" and event.data.get("alias") == CHAMPION:
                found = (digest, event.leaf)
            elif event.type == "model.withdrawn" and found is not None and found[0] == digest:
                found = None
        if found is None:
            raise UnknownModel(name, f"nothing was in production under this name at {moment}")
        return found

    def _behind(self, ref: str) -> str:
        name, _, alias = ref.partition("@")
        aliases = self._aliases.get(name)
        if name not in self._history:
            raise UnknownModel(ref[:200])
        found = (aliases or {}).get(alias or CHAMPION)
        if found is None:
            raise UnknownModel(ref[:200], f"no version is behind the alias {alias or CHAMPION}")
        return found

    def _fold(self, event: LifecycleEvent, digest: str, name: str) -> str | None:
        """Apply, or say why not."""
        version = self._versions.get(digest)
        if event.type == "model.published":
            if version is not None:
                return "this digest was published before"
            self._versions[digest] = Version(digest, name, event)
            return None
        if version is None:
            return "this digest was never published"
        if version.name != name:
            return f"this digest was published as {version.name}"
        if version.withdrawn is not None:
            return "this digest was withdrawn"
        return self._advance(event, version, digest)

    def _advance(self, event: LifecycleEvent, version: Version, digest: str) -> str | None:
        if event.type == "model.validated":
            if version.published.actor == event.actor:
                return "the publisher cannot validate"
            version.validated = event
        elif event.type == "model.approved":
            if version.published.actor == event.actor:
                return "the publisher cannot approve"
            if _found_wanting(version):
                return "the newest validation is unsatisfactory"
            version.approved = version.approved or event
        elif event.type == "model.promoted":
            if version.approved is None:
                return "this digest was not approved"
            self._aliases.setdefault(version.name, {})[str(event.data["alias"])] = digest
        elif event.type == "model.withdrawn":
            version.withdrawn = event
        else:
            return f"{event.type} is not a lifecycle event"
        return None


def _found_wanting(version: Version) -> bool:
    return (
        version.validated is not None and version.validated.data.get("conclusion") == UNSATISFACTORY
    )


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnknownModel(text[:40], "is not a time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
