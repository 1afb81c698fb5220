"""`assay verify-receipt`: what a client runs on what it was given, with no server.

Exit 0: what was asked was checked and held. Exit 1: something failed. Exit 2: could not be checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from service.cli.given import (
    RECEIPT_MAX,
    CouldNotCheck,
    consistency_proof,
    log_keys,
    receipt_json,
    second_key,
    seen_before,
    verifier_key,
    witness_policy,
)

if TYPE_CHECKING:
    from ledger.note import KeyHistory
    from ledger.receipt import Receipt

EXIT_FAILED: Final = 1


@click.command(
    "verify-receipt",
    epilog="""\b
Examples:
  assay verify-receipt receipt.json --key log.vkey
  curl -s -H "Authorization: Bearer $ASSAY_KEY" \\
    $ASSAY_URL/v1/predictions/17/receipt | assay verify-receipt - --key log.vkey
  assay verify-receipt receipt.json --key log.vkey --witness-policy witnesses.txt
  assay verify-receipt receipt.json --key old.vkey --log-keys log-keys.jsonl
  assay verify-receipt mine.json --key log.vkey --against yours.json --proof proof.json
""",
)
@click.argument("receipt_file", type=click.File("rb", lazy=True))
@click.option("--key", required=True, metavar="VKEY", help="The log's verifier key, or its file.")
@click.option(
    "--log-keys",
    "log_keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="`log-keys.jsonl` of an export: follow from --key to the key that signed.",
)
@click.option("--mldsa-key", metavar="VKEY", help="Demand a signature of this ML-DSA-44 key too.")
@click.option(
    "--witness-policy",
    "witness_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A C2SP tlog-policy file: its witnesses must have cosigned the checkpoint.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Another receipt or checkpoint of this log: both must belong to one history.",
)
@click.option(
    "--proof",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --against, where sizes differ: an answer of GET /v1/ledger/proof/consistency.",
)
@click.pass_context
def verify_receipt_command(
    context: click.Context,
    receipt_file: Any,  # noqa: ANN401 - click's lazy file
    *,
    key: str,
    log_keys_file: Path | None,
    mldsa_key: str | None,
    witness_file: Path | None,
    against: Path | None,
    proof: Path | None,
) -> None:
    """Check one receipt offline: the entry is in the log that signed the checkpoint.

    It does not say that the entry's signer might sign it, or that the model computed it: an audit
    of the export does.
    """
    from ledger.errors import LedgerError
    from ledger.post_quantum import verify_second
    from ledger.receipt import Receipt, verify_receipt
    from service.cli.verdicts import print_receipt

    keys = log_keys(verifier_key(key), log_keys_file)
    policy, second = witness_policy(witness_file), second_key(mldsa_key)
    try:
        data = receipt_file.read(RECEIPT_MAX + 1)
    except OSError as error:
        raise CouldNotCheck(f"{receipt_file.name} cannot be read: {error.strerror}") from error
    try:
        receipt = Receipt.from_json(receipt_json(receipt_file.name, data))
        verify_receipt(receipt, keys, policy)
        if second is not None:
            verify_second(receipt.checkpoint, second)
        if against is not None:
            _compare(receipt, keys, against, proof)
    except LedgerError as error:
        click.echo(f"FAILED  {error}", err=True)
        context.exit(EXIT_FAILED)
    quorum = None if policy is None else policy.judge(receipt.checkpoint)
    print_receipt(receipt, quorum=quorum, compared=None if against is None else str(against))


def _compare(receipt: Receipt, keys: KeyHistory, against: Path, proof: Path | None) -> None:
    """Hold the receipt's checkpoint against another one. Raises LedgerError."""
    from ledger.histories import verify_one_history

    note, other = seen_before("--against", against, keys)
    sizes = tuple(sorted((receipt.tree_size, other.size)))
    if sizes[0] in {0, sizes[1]}:
        verify_one_history(receipt.checkpoint, note, keys)
        return
    wanted = f"GET /v1/ledger/proof/consistency?first={sizes[0]}&second={sizes[1]}"
    if proof is None:
        raise CouldNotCheck(f"sizes differ; give --proof FILE with the answer of {wanted}")
    *given, path = consistency_proof(proof)
    if tuple(given) != sizes:
        raise CouldNotCheck(f"{proof} is of sizes {given[0]} and {given[1]}; needed is {wanted}")
    verify_one_history(receipt.checkpoint, note, keys, path)
