"""The demo from beginning to end: calls the steps of `scenario`, and narrates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from service.demo import processes, scenario
from service.demo.narration import Narration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(directory: Path, port: int, *, stay: Callable[[], None] | None) -> bool:
    """Run every step; `stay` keeps the server up at the end. Says whether all came out as told."""
    tell, began = Narration(), time.monotonic()
    scenario.prepare_directory(directory)
    tell.step(1, "A house: keys, models by digest, limits signed before the first decision")
    house, keys = scenario.open_demo_house(directory, tell)
    with processes.server(directory, processes.free_port(port)) as address:
        tell.step(2, f"History through the HTTP API of {address}")
        days = scenario.replay_market(address, keys, tell)
        tell.say(f"{days} trading days: three decisions each, outcomes next day, each day sealed")
        measuring = processes.start_drift(directory)
        scenario.replay_credit(address, keys, tell)
        tell.say("3,000 credit accounts in an order made up here (the file has no dates)")
        tell.step(3, "Another operator, who records what was never computed")
        rogue, rogue_correctness = scenario.audit_rogue(directory / "rogue", tell)
        tell.say(f"its own log, its own keys, {rogue.report['log']['tree_size']} entries")
        processes.wait_for_drift(measuring, directory)
        tell.step(4, "Two reports, and an audit offline: no server, no network, no trust in us")
        correctness = scenario.issue_reports(address, keys, directory)
        audit = scenario.audit_house(house)
        tell.say(f"assay audit {directory}/export --key {directory}/log.vkey: exit {audit.status}")
        tell.two_reports(audit.report, correctness)
        rows = scenario.quadrant_rows(
            (audit.report, correctness), (rogue.report, rogue_correctness)
        )
        tell.quadrants(rows)
        tell.say(f"the rogue's audit: exit {rogue.status}, {_first(rogue)}")
        tell.step(5, "The tamper drill: one byte of one entry, in a copy of the export")
        flip, tampered = scenario.tamper(directory, scenario.middle_prediction(house))
        tell.say(f"flipped byte {flip.offset} of {flip.file}, inside entry {flip.leaf}")
        tell.say(f"the audit of the copy: exit {tampered.status}, {_first(tampered)}")
        holds = (
            [row[2:] for row in rows] == scenario.EXPECTED
            and (audit.status, rogue.status, tampered.status) == (0, 1, 1)
            and any(f["leaf"] == flip.leaf for f in tampered.report["findings"])
        )
        tell.end(holds, directory, time.monotonic() - began)
        if stay is not None:
            tell.ready(address, scenario.sign_in_link(house, keys["auditor"]))
            stay()
    return holds


def _first(audited: processes.Audited) -> str:
    """The first finding, as the auditor words it."""
    for finding in audited.report["findings"]:
        return (
            f"{finding['subject']}: {finding['check']}: expected {finding['expected']}, "
            f"got {finding['got']}"
        )
    return "no finding"
