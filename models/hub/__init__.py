"""Which models exist, as bytes named by digest, and who let them in.

Read in this order:

1. `canonical`   one text for one value, so that a manifest has one digest.
2. `manifest`    everything a reader must know of a model; its digest is the model's name.
3. `store`       blobs by SHA-256; reading checks.
4. `provenance`  how it was made: an in-toto statement in a signed DSSE envelope.
5. `publish`     put the blobs, sign the statement, return two digests.
6. `catalog`     what may run: folded from lifecycle events, never stored.
7. `card`        what its author says of it: front matter and Markdown, as people write them.
"""
