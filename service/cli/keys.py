"""Keys over the years: list them, introduce further ones, replace and revoke, each an entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.common import data_dir_option, settings_for, told

if TYPE_CHECKING:
    from service.assembly import Assembly
    from service.keys import Act

# As `service.signers.ROLES`, written out so that help imports nothing.
ROLES = ("operator", "producer", "outcome_source", "publisher", "approver", "reporter")

actor_option = click.option("--actor", default="cli", show_default=True, help="Who does it.")
with_option = click.option(
    "--with",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An operator's key file to sign with. [default: the house's own operator key]",
)


@click.group()
def keys() -> None:
    """List the log's keys, add, rotate and revoke them. Each change is an entry."""


@keys.command("list", epilog="Example: assay keys list --data-dir house")
@data_dir_option
@told
def list_keys(data_dir: Path | None) -> None:
    """List every key of the log: id, role, from which entry to which, holder."""
    from ledger.keys import Role
    from service.keys import book_of

    house = _open(data_dir)
    own = {key.key_id for key in house.signers.by_role.values()}
    for key in book_of(house.ledger).keys.values():
        if key.role is Role.LOG:
            continue
        first = key.leaf + (key.leaf > 0)  # the first operator's key signs its own introduction
        span = f"from {first}" if key.until is None else f"{first} to {key.until}"
        mark = "  (this house)" if key.key_id in own else ""
        click.echo(f"{key.key_id}  {key.role:<14}  {span:<16}  {key.holder}{mark}")
    for signs in house.ledger.keys().keys:
        until = "" if signs.until is None else f" to {signs.until}"
        told = f"signs checkpoints of sizes from {signs.since}{until}"
        click.echo(f"{signs.key.key.key_id}  {Role.LOG:<14}  {told}")


@keys.command(
    epilog="""\b
Examples:
  assay keys add --role producer --holder "desk 2" --data-dir house
  assay keys add --claim desk-2.json --data-dir house
"""
)
@click.option("--role", type=click.Choice(ROLES), help="What the key is for.")
@click.option("--holder", help="Who holds it, as recorded.")
@click.option(
    "--claim",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `assay keys claim` printed where the key was made.",
)
@click.option("--own", is_flag=True, help="In place of the house's own key, after that has ended.")
@with_option
@actor_option
@data_dir_option
@told
def add(
    *,
    role: str | None,
    holder: str | None,
    claim: Path | None,
    key_file: Path | None,
    actor: str,
    data_dir: Path | None,
    own: bool,
) -> None:
    """Introduce a further key: made here, or held elsewhere. Several of a role may sign at once."""
    from ledger.keys import Role
    from service import keys as house_keys

    house, act = _open(data_dir), _act(actor, key_file)
    if claim and not (role or holder or own):
        leaf = house_keys.add_claim(house, _claim(claim), act)
        click.echo(f"introduced by entry {leaf}")
        return
    if claim or not role or not holder:
        message = "give --role and --holder, or --claim"
        raise click.UsageError(message)
    make = house_keys.add_own if own else house_keys.add
    path, leaf = make(house, Role(role), holder, act)
    click.echo(f"introduced by entry {leaf}; the private key is {path}")
    click.echo(_restart() if own else "Bring it to its holder, and leave no copy here.")


@keys.command(epilog='Example: assay keys claim --role producer --holder "desk 2" --out desk-2.key')
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the key is for.")
@click.option("--holder", required=True, help="Who holds it, as recorded.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The new private key's file; it must not exist.",
)
@told
def claim(role: str, holder: str, out: Path) -> None:
    """Make a key where its holder is, and print the claim for `assay keys add --claim`."""
    from ledger.keys import Role, SigningKey, save_key
    from service.signers import claim_of

    key = SigningKey.generate()
    save_key(out, key)
    click.echo(json.dumps(claim_of(key, Role(role), holder), indent=2, ensure_ascii=False))


@keys.command(epilog="Example: assay keys rotate producer --data-dir house")
@click.argument("role", type=click.Choice((*ROLES, "log")))
@click.option("--holder", default="", help="Who holds the new one. [default: as before]")
@click.option(
    "--uri",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A .uri file: the new key is in a KMS or vault. See docs/operations.md.",
)
@click.option("--destroy", is_flag=True, help="Remove the old private key instead of keeping it.")
@actor_option
@data_dir_option
@told
def rotate(
    role: str, holder: str, uri: Path | None, actor: str, data_dir: Path | None, *, destroy: bool
) -> None:
    """Put a new key in place of the house's own of ROLE. The old one signs that, and then no more.

    The log's old key goes on signing checkpoints beside the new one, until it is revoked: so those
    who hold its verifier key have time to follow. Processes that run answer 503 until they are
    started again: they hold the old key.
    """
    from ledger.keys import Role
    from service import keys as house_keys

    house = _open(data_dir)
    if role == "log":
        if destroy:
            raise click.UsageError("the log's old key signs beside the new one until it is revoked")
        _rotate_log(house, holder, uri, actor)
        return
    old, new, leaf = house_keys.rotate(
        house, Role(role), holder=holder, uri=uri, destroy=destroy, actor_id=actor
    )
    click.echo(f"{old} is replaced by {new}, by entry {leaf}")
    click.echo("the old private key is removed" if destroy else f"kept: {role}.{old}.retired")
    click.echo(_restart())


@keys.command("post-quantum", epilog="Example: assay keys post-quantum log-mldsa.pem")
@click.argument("path", type=click.Path(path_type=Path))
@data_dir_option
@told
def post_quantum(path: Path, data_dir: Path | None) -> None:
    """Make an ML-DSA-44 key in the new file PATH, to sign checkpoints beside the log's own key.

    It signs once ASSAY_LOG_MLDSA_KEY names the file. No entry speaks of it: hand out its verifier
    key as you did the log's.
    """
    from ledger.post_quantum import SecondSigner, make_second_key
    from service.assembly import origin_of

    origin = origin_of(settings_for(data_dir))
    make_second_key(path)
    click.echo(f"made {path}; from the next start on it signs with ASSAY_LOG_MLDSA_KEY={path}")
    click.echo("verifier key, for --mldsa-key:")
    click.echo(str(SecondSigner.load(path, origin).key))


@keys.command(
    epilog='Example: assay keys revoke 6a7f969c20c1be60ac8a55f7d6e8cc63 --reason "laptop stolen"'
)
@click.argument("key_id")
@click.option("--reason", required=True, help="Why, as recorded.")
@with_option
@actor_option
@data_dir_option
@told
def revoke(
    key_id: str, reason: str, key_file: Path | None, actor: str, data_dir: Path | None
) -> None:
    """End a key: nothing that it signs later counts. What it signed before stays as it is."""
    from service import keys as house_keys

    house = _open(data_dir)
    leaf = house_keys.revoke(house, key_id, reason, _act(actor, key_file))
    click.echo(f"revoked by entry {leaf}")
    own = {key.key_id: role for role, key in house.signers.by_role.items()}
    if key_id in own:
        click.echo(
            f"It was this house's own. Put another in its place: assay keys add --own "
            f"--role {own[key_id]} --holder house:{own[key_id]}"
        )


def _rotate_log(house: Assembly, holder: str, uri: Path | None, actor: str) -> None:
    from service import keys as house_keys

    old, new, leaf = house_keys.rotate_log(house, holder=holder, uri=uri, act=_act(actor, None))
    directory = house.settings.data_dir
    click.echo(f"{old} is replaced by {new}, by entry {leaf}; now both sign every checkpoint")
    click.echo(f"verifier key   {house.ledger.vkey}")
    click.echo(f"It is in {directory / 'log.vkey'}: hand it out. End the old key when all have it:")
    click.echo(f"  assay keys revoke {old} --reason REASON --data-dir {directory}")
    click.echo(_restart())


def _open(data_dir: Path | None) -> Assembly:
    """The house, also one whose own keys have ended: that is what is repaired here."""
    from service.assembly import assemble

    return assemble(settings_for(data_dir), ended_keys=True)


def _act(actor: str, key_file: Path | None) -> Act:
    from service.keys import Act

    return Act(actor, key_file)


def _claim(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise click.ClickException(f"{path}: expected an object")
    return found


def _restart() -> str:
    return "Start the server and the scheduler again: until then they answer 503."
