"""What was run: models as bytes with a digest, and arithmetic that gives every machine one answer.

- `models.hub` says which models exist and who let them in: manifest, store by digest, provenance,
  and the catalog folded from lifecycle events that somebody else keeps.
- `models.runtime` loads a manifest and runs it. Every output is an integer in units of 2^-16, so a
  prediction can be run again anywhere and compared exactly. Nothing it loads can execute code.
- `models.reference` trains the reference models from real data. Serving never imports it.

The package knows nothing of ledgers, requests or outcomes. Whether a model is any good is not
answered here.
"""
