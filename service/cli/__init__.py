"""The `assay` command. Each subcommand lives in its own file and is imported when it is called.

`assay audit` must run where neither Flask nor a database is installed, so nothing heavier than
click may be imported here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

# Subcommand: where it lives, and its line in the help (so that help imports nothing).
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo:demo", "Run the main job on real data, then serve the dashboards."),
    "init": ("house:init", "Make keys, database and ledger."),
    "migrate": ("house:migrate", "Bring an older database to this release's schema."),
    "serve": ("house:serve", "Serve the API and the dashboards."),
    "scheduler": ("house:scheduler", "Run the daily seal, evaluations and drift."),
    "status": ("house:status", "Say what is in a house."),
    "api-keys": ("api_keys:api_keys", "Issue, list and revoke callers' keys."),
    "keys": ("keys:keys", "List the log's keys, add, rotate and revoke them."),
    "models": ("hub:models", "Publish, approve, promote, withdraw models; list them."),
    "outcomes": ("outcomes:outcomes", "Upload what happened, from a file."),
    "alarms": ("alarms:alarms", "List alarms, acknowledge, comment on, close them."),
    "policies": ("policies:policies", "Sign and list limits; halt models, resume them."),
    "ledger": ("book:ledger", "Seal, export, check, anchor, recover the log."),
    "timestamp": ("timestamps:timestamp", "Have a seal time-stamped by an RFC 3161 authority."),
    "verify-timestamps": ("timestamps:verify_timestamps", "Check an export's time-stamps."),
    "erase": ("erasure:erase", "Destroy what is recorded of a person; proofs stay."),
    "hold": ("erasure:hold", "Place, lift and list legal holds."),
    "report": ("reports:report", "Issue and read the two reports."),
    "witness": ("witness:witness", "Watch other houses' logs and cosign them."),
    "score": ("score:score", "Decide every row of a Parquet book, resumable."),
    "audit": ("audit:audit_command", "Check an export offline and replay it."),
    "verify-receipt": ("receipts:verify_receipt_command", "Check one receipt offline."),
}

EPILOG = """\b
Examples:
  assay demo --once
  assay init --data-dir house && assay serve --data-dir house
  assay audit house/export --key house/log.vkey
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order a stranger needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"service.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="assay", message="assay %(version)s")
def main() -> None:
    """Assay: the audit trail for financial AI.

    Computed honestly? The ledger and its proofs answer. Computed correctly? Outcomes answer.
    Two reports, never one score.
    """
