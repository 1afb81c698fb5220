"""Was it computed as claimed? The tour of the verification modes.

An attester makes evidence beside an execution; a verifier appraises the evidence against a
relying party's policy and returns one verdict per claim (the roles of RFC 9334). A mode is one
file, attester side above and verifier side below, and no mode imports another.

`signed` (the only mode of this release) proves who recorded an execution, and under which policy,
model and environment digests. It does not prove that the named model computed the outputs: that
claim stays NOT_CHECKED here and is settled afterwards by replay (service.auditor.replay).

No mode says anything on whether the model was right.
"""
