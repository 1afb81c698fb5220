"""Whether independent witnesses saw the audited checkpoint: its cosignatures against a policy.

The policy (C2SP tlog-policy) is the auditor's own: which witnesses count, and how many of them.
What holds then: each of them saw this tree as growth of all it saw before. So a second history of
the same log would have needed as many of them to look away. A policy that asks for nobody leaves
the check undone and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.errors import KeyRefused, NoteError, QuorumMissed
from ledger.findings import Finding
from ledger.layout import CHECKPOINT
from service.auditor.verify import Check, Findings

if TYPE_CHECKING:
    from ledger.note import Trusted
    from ledger.post_quantum import SecondKey
    from ledger.tlog_policy import TlogPolicy

CHECK: Final = "witnesses"
SECOND: Final = "second signature"
SECOND_CLAIM: Final = "the checkpoint is signed by the ML-DSA-44 key that was given, too"
CLAIM: Final = "the checkpoint is cosigned by the witnesses that the witness policy asks for"


def check_second(note: str, key: SecondKey) -> Findings:
    """Hold the audited checkpoint against a key that is to have signed it beside the log's own."""
    from ledger.post_quantum import verify_second  # noqa: PLC0415 - where one is named

    try:
        verify_second(note, key)
    except (NoteError, KeyRefused) as error:
        expected = f"a signature by the ML-DSA-44 key {key.hash.hex()}"
        finding = Finding(SECOND, None, expected, str(error), CHECKPOINT)
        return Findings((Check(SECOND, SECOND_CLAIM, 1, 1, 0),), (finding,))
    return Findings((Check(SECOND, SECOND_CLAIM, 1, 0, 0),), ())


def check_witnesses(note: str, key: Trusted, policy: TlogPolicy) -> Findings:
    """Hold the audited checkpoint's note against a witness policy."""
    try:
        quorum = policy.require(note, key)
    except (NoteError, QuorumMissed) as error:
        finding = Finding(
            check=CHECK,
            leaf=None,
            expected="a checkpoint that the witness policy accepts",
            got=str(error),
            subject=CHECKPOINT,
        )
        return Findings((Check(CHECK, CLAIM, 1, 1, 0),), (finding,))
    if not quorum.asked:
        return Findings((Check(CHECK, CLAIM, 0, 0, 1, detail=str(quorum)),), ())
    return Findings((Check(CHECK, CLAIM, 1, 0, 0),), ())
