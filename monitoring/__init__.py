"""Computed correctly? Forecasts compared with what happened, each figure with its interval.

Read in this order:

- `source`: what is read: predictions, outcomes, limits, through a protocol anyone can fill.
- `columns`, `rows`: a million of them as numbers end to end.
- `outcomes`, `windows`: which forecasts count, which labels are mature, which windows are closed.
- `performance`, `calibration`, `backtest`, `earning`, `beta`, `psi`: figures, functions on numbers.
- `slices`, `label_free`: where it is worst; what to expect before labels come.
- `credit`, `value_at_risk`, `trade_signal`: which figures each kind of model gets, in plain words.
- `terms`, `judging`: a figure against a limit that was signed before the data.
- `detectors`: evidence that grows observation by observation, with a promised run length.
- `watches`, `following`, `sequential`: what they observe, in which order, what they then say.
- `correctness`: the report, as plain JSON with decimal text, the same bytes for the same log range.
- `drift`: did the inputs move; a leading indicator, never accuracy. Run it in its own process.

The package knows nothing of ledgers, proofs, services or models. The figures need numpy for columns
and nothing else beside the standard library.
"""
