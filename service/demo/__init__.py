"""The main job on real data, told as it happens: `assay demo`.

`scenario`   the steps in order; everything it does a customer could do over HTTP or the CLI.
`processes`  a real server, a real scheduler, real `assay audit` runs, as child processes.
`desk`       the trading desk and its back office: a client of the HTTP API.
`market`     the history that is replayed: S&P 500 days, and credit rows in a synthetic order.
`rogue`      another operator, with keys of its own, who records what was never computed.
`drill`      one byte flipped in a copy of the export.
`narration`  what is printed.
"""
