"""Was everything computed as claimed? An offline audit of an export, in four steps.

1. `bundle`   reads an export whose log was checked by `ledger.verify`: keys, models, executions.
2. `verify`   checks what the log alone cannot: provenance, approval before use, policy.
3. `replay`   runs every execution again through a callable it is handed, and compares.
4. `honesty`  counts the verdicts up to one checkpoint: the honesty report.

`prefix` cuts an export back to an older checkpoint first; `dsse` and `manifest` read what `verify`
needs of a model without the package that made it.

No server, no network, no database, no model library: the model arrives as a plain callable from
`service.cli.audit`, so this package is tested with three-line fakes. Nothing here reads an
outcome's value or says whether a model was right.
"""
