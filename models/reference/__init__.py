"""The reference models: real data in, packages ready to publish out. Serving never imports this.

1. `data`            the two data sets, checked by digest as they are read.
2. `market`          what a desk knows at the close of a day: the features of the market models.
3. `quantise`        round a trained xgboost model's leaves to the 2^-16 grid, and say what it did.
4. `drafting`        the parts every manifest has: vectors, samples, figures.
5. `credit_default`, `value_at_risk`, `trade_signal`   one recipe each.
6. `training`        all of them.

A recipe is seeded and uses one thread: with the same locked environment on the same kind of machine
a second training gives the same digest. Other machines may train to other bytes; they run the
published bytes to the same answers.
"""
