"""Which witnesses must have cosigned a checkpoint before it is believed (C2SP tlog-policy).

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

A checkpoint meets a policy when one of its logs signed it and the quorum cosigned it; a policy
without logs leaves the log to whoever asks. Names mean nothing outside the file. Each name is a
member of at most one group, so that no witness counts twice. The file is octets: text beyond ASCII
is kept and never interpreted. Witness keys of type 0x06 (ML-DSA-44) are refused: a policy that
cannot be evaluated must not look as if it were.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.checkpoint import KeyHistory, VerifierKey
from ledger.cosignature import WitnessKey, verify_cosignatures
from ledger.errors import QuorumMissed, TlogPolicyError
from ledger.refusals import KeyRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ledger.checkpoint import Trusted
    from ledger.cosignature import Cosignature

NONE: Final = "none"
POLICY_MAX: Final = 1 << 20  # bytes; a line has about 150
LINES_MAX: Final = 256  # logs, witnesses and groups; the standard recommends room for 32 of each

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_THRESHOLD: Final = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log whose checkpoints are accepted."""

    key: VerifierKey
    url: str | None


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness; `url` is its submission prefix."""

    name: str
    key: WitnessKey
    url: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses at least `threshold` of `members`, each a witness or an earlier group."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quorum:
    """How a checkpoint stands to a policy."""

    met: bool
    asked: bool  # False when the policy asks for no witness
    cosigned: tuple[Cosignature, ...]
    missing: tuple[str, ...]  # names of the policy's witnesses that did not cosign

    def __str__(self) -> str:
        if not self.asked:
            return "the policy asks for no witness"
        told = ", ".join(dict.fromkeys(c.witness.name for c in self.cosigned)) or "nobody"
        state = "met" if self.met else f"not met, no cosignature of {', '.join(self.missing)}"
        return _printable(f"cosigned by {told}; quorum {state}")


@dataclass(frozen=True, slots=True)
class TlogPolicy:
    """A policy file, read."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: Mapping[str, Group]
    quorum: str

    def names_log(self, log: Trusted) -> bool:
        """Whether a log is accepted: a key that it has had is listed, or the policy lists none."""
        had = {str(key.key) for key in KeyHistory.of(log).keys}
        return not self.logs or any(str(named.key) in had for named in self.logs)

    def judge(self, note: str) -> Quorum:
        """Hold a note's cosignatures against the quorum; the log's signature is not looked at.

        Raises NoteError when the note is malformed or a witness of the policy cosigned it badly.
        """
        cosigned = verify_cosignatures(note, [witness.key for witness in self.witnesses])
        keys = {str(cosignature.witness) for cosignature in cosigned}
        names = {witness.name for witness in self.witnesses if str(witness.key) in keys}
        return Quorum(
            met=self.quorum == NONE or self._has(self.quorum, names),
            asked=self.quorum != NONE,
            cosigned=tuple(cosigned),
            missing=tuple(w.name for w in self.witnesses if w.name not in names),
        )

    def require(self, note: str, log: Trusted) -> Quorum:
        """As `judge`; raises QuorumMissed when log or quorum are not what the policy asks for."""
        if not self.names_log(log):
            raise QuorumMissed(f"the policy does not name the log {log}")
        quorum = self.judge(note)
        if not quorum.met:
            raise QuorumMissed(str(quorum))
        return quorum

    def _has(self, name: str, cosigned: set[str]) -> bool:
        """Whether a witness cosigned, or enough of a group's members did."""
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._has(member, cosigned) for member in group.members) >= group.threshold


def load_policy(path: Path) -> TlogPolicy:
    """Read a policy file. Raises OSError or TlogPolicyError."""
    with path.open("rb") as file:
        return parse_policy(file.read(POLICY_MAX + 1))


def parse_policy(data: bytes) -> TlogPolicy:
    """Read a policy. Raises TlogPolicyError, which names the line."""
    if len(data) > POLICY_MAX:
        raise TlogPolicyError(0, f"longer than {POLICY_MAX} bytes")
    if _CONTROL.search(data):
        raise TlogPolicyError(0, "holds a control character other than tab and line feed")
    reader = _Reader()
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), start=1):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if words[0] and not words[0].startswith("#"):
            try:
                reader.read(words[0], words[1:])
            except (KeyRefused, _Refused) as error:
                raise TlogPolicyError(number, _printable(str(error))) from error
    return reader.done()


def _printable(text: str) -> str:
    """Text with the octets that are no UTF-8 written out."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Refused(Exception):
    """What is wrong with a line."""


@dataclass(slots=True)
class _Reader:
    """What was read so far; each line is held against the lines before it."""

    logs: list[PolicyLog] = field(default_factory=list)
    witnesses: list[PolicyWitness] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None
    free: dict[str, bool] = field(default_factory=dict)  # name -> not yet a member of a group

    def read(self, kind: str, words: list[str]) -> None:
        """One line that is neither empty nor a comment."""
        if len(self.logs) + len(self.free) >= LINES_MAX:
            raise _Refused(f"more than {LINES_MAX} logs, witnesses and groups")
        match kind, words:
            case "log", [vkey, *rest] if len(rest) <= 1:
                self._log(vkey, rest)
            case "witness", [name, vkey, *rest] if len(rest) <= 1:
                self._witness(name, vkey, rest)
            case "group", [name, threshold, first, *rest]:
                self._group(name, threshold, (first, *rest))
            case "quorum", [name]:
                self._quorum(name)
            case _:
                raise _Refused(f"no line of a policy begins `{kind[:40]}` and has this many words")

    def done(self) -> TlogPolicy:
        """The whole policy."""
        if self.quorum is None:
            raise TlogPolicyError(0, "no quorum line")
        return TlogPolicy(tuple(self.logs), tuple(self.witnesses), self.groups, self.quorum)

    def _log(self, vkey: str, rest: list[str]) -> None:
        key = VerifierKey.parse(vkey)
        if any(log.key.key.public == key.key.public for log in self.logs):
            raise _Refused("a log with this public key is listed already")
        self.logs.append(PolicyLog(key, rest[0] if rest else None))

    def _witness(self, name: str, vkey: str, rest: list[str]) -> None:
        key = WitnessKey.parse(vkey)
        if any(witness.key.key.public == key.key.public for witness in self.witnesses):
            raise _Refused("a witness with this public key is listed already")
        self._define(name)
        self.witnesses.append(PolicyWitness(name, key, rest[0] if rest else None))

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        for member in members:
            if member not in self.free:
                raise _Refused(f"{member} is not defined on an earlier line")
            if not self.free[member]:
                raise _Refused(f"{member} is a member already")
            self.free[member] = False
        count = {"any": 1, "all": len(members)}.get(threshold)
        if count is None:
            count = int(threshold) if _THRESHOLD.fullmatch(threshold) else 0
        if not 1 <= count <= len(members):
            raise _Refused(f"threshold {threshold[:40]} of {len(members)} members")
        self._define(name)
        self.groups[name] = Group(name, count, members)

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise _Refused("a second quorum line")
        if name != NONE and name not in self.free:
            raise _Refused(f"{name} is not defined on an earlier line")
        self.quorum = name

    def _define(self, name: str) -> None:
        if name == NONE or name in self.free:
            raise _Refused(f"the name {name} is taken")
        self.free[name] = True
