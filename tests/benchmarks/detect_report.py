"""docs/detection.md and docs/detection.json: tables, targets, what was missed."""

import json
import math
import shlex

import numpy as np
from harness import DOCS

DEVELOPED = (
    ("false", "FA"),
    ("none", "None"),
    ("concept", "Concept"),
    ("small", "Small"),
    ("gradual", "Gradual"),
    ("flip", "Flip"),
    ("reversed", "Reversed"),
    ("covariate", "Covariate"),
    ("benign", "Benign"),
)
ORDER = (
    "Evidently", "PSI", "CSI", "KS", "CBPE", "Realised", "Jeffreys", "Hosmer", "ADWIN",
    "Page", "Confidence", "e-SR",
)  # fmt: skip


class Report:
    """Lines of the page and rows of the file, in the order they come."""

    def __init__(self, machine, given):
        """Begin with what was asked for."""
        named = [("SEEDS", given.seeds), ("CREDIT", given.credit), ("PRICES", given.prices)]
        asked = " ".join(f"{k}={shlex.quote(str(getattr(v, 'name', v)))}" for k, v in named if v)
        self.command = f"make bench-detect {asked}".strip()
        self.folder = given.out or DOCS
        self.lines = [
            "# Detection: how late, how often falsely",
            "",
            f"Written by `{self.command}`; do not edit. Measured on {machine}.",
            "",
            *INTRODUCTION,
        ]
        self.rows = []

    def target(self, name, value, goal, met):
        """One row of detection.json."""
        self.rows.append({"name": name, "value": value, "goal": goal, "met": met})

    def book(self, book, breaks):
        """What the credit figures rest on."""
        held = ", ".join(f"{name} {value:.3f}" for name, value in breaks.auc.items())
        excess = float(((book.p - book.y) ** 2 - book.p * (1 - book.p)).mean())
        self.lines += [
            "## The credit book",
            "",
            f"{book.told}; {len(book.p):,} rows in the pool, default rate {book.y.mean():.4f}.",
            f"AUC: {held}.",
            f"Mean excess Brier score before any break: {excess:.4f} of the 0.01 tolerated.",
            f"Benign mix: weights on `{book.benign_column}`, which the model does not use."
            if book.benign_column
            else "No column is free of the model, so there is no benign mix.",
            "",
        ]

    def credit_table(self, found, scenarios):
        """The comparison on development seeds."""
        shown = [(key, title) for key, title in DEVELOPED if key in {"false", *scenarios}]
        self.lines += [
            "## Credit, development seeds 1000 to 1019",
            "",
            *CREDIT_READING,
            "",
            "| Detector |" + "".join(f" {title} |" for _, title in shown),
            "|---|" + "---|" * len(shown),
        ]
        for name in sorted(found, key=_place):
            held = found[name]
            cells = [cell(share(b for b, _ in held["none"]))]
            cells += [delayed(held[key], bare=key == "none") for key, _ in shown[1:]]
            self.lines.append(f"| {name} |" + "".join(f" {c} |" for c in cells))
        self.lines.append("")

    def var_table(self, found):
        """The comparison on simulated exceedances."""
        self.lines += ["## Value at risk, development seeds", "", *VAR_READING, ""]
        self.lines += ["| Detector | FA | 1% to 3% | 1% to 6% |", "|---|---|---|---|"]
        for name, (false, late) in found.items():
            cells = [
                f"{days:g}/{part:.2f}" if days is not None else f"0/{part:.2f}"
                for days, part in late.values()
            ]
            self.lines.append(f"| {name} | {false:.3f} | " + " | ".join(cells) + " |")
        self.lines.append("")

    def credit_acceptance(self, found, seeds, *, enough):
        """Targets of section 7 of the design note on unseen seeds."""
        self.lines += [
            f"## Acceptance, {len(seeds)} seeds from {seeds[0]} to {seeds[-1]}",
            "",
            "Nothing was chosen on these seeds." if enough else TOO_FEW,
            "",
            "| Credit | FA | None | Concept | Small | Gradual | Flip | Reversed | Covariate | Benign |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name, held in found.items():
            cells = [cell(share(b for b, _ in held["none"]))]
            cells += [
                delayed(held[key], bare=key == "none") if key in held else ""
                for key, _ in DEVELOPED[1:]
            ]
            self.lines.append(f"| {name} |" + "".join(f" {c} |" for c in cells))
        self.lines.append("")
        for name, held in found.items():
            self._credit_targets(name, held, len(seeds), enough=enough)

    def _credit_targets(self, name, held, runs, *, enough):
        false = share(b for b, _ in held["none"])
        self.target(f"credit, {name}: runs with an alarm in 10 stable months",
                    with_error(false, runs), "at most 0.10", _met(false <= 0.10, enough))  # fmt: skip
        if name != "e-SR PD calibration":  # blind to a flip by design: it looks at the level alone
            for key, most in (("concept", 45), ("flip", 45), ("small", 75)):
                found = sorted(d if d is not None else math.inf for _, d in held[key])
                median = found[(len(found) - 1) // 2]
                caught = share(d is not None for _, d in held[key])
                self.target(
                    f"credit, {name}: median days to the alarm, {key}",
                    f"{median:.1f} ({caught:.3f} found)", f"at most {most}", _met(median <= most, enough),
                )  # fmt: skip
        for key in ("covariate", "benign"):
            if key in held:
                silent = share(d is None for _, d in held[key])
                self.target(f"credit, {name}: runs without an alarm, {key} change",
                            with_error(silent, runs), "at least 0.95", _met(silent >= 0.95, enough))  # fmt: skip

    def var_acceptance(self, found, seeds, *, enough):
        """Targets on simulated exceedances."""
        runs = len(found["false"]["too many"])
        shares = {name: float(hit.mean()) for name, hit in found["false"].items()}
        few = "; ".join(f"{name} {with_error(value, runs)}" for name, value in shares.items())
        self.lines += [
            f"Value at risk, run length 2,500 on each side, {runs:,} runs.",
            f"False alarms in three years: {few}.",
            "",
        ]
        false = shares["too many"]
        self.target("value at risk, e-SR too many: runs with an alarm in 3 stable years",
                    with_error(false, runs), "at most 0.12", _met(false <= 0.12, enough))  # fmt: skip
        self.target("value at risk, e-SR both sides: runs with an alarm in 3 stable years",
                    with_error(shares["either side"], runs), "", None)  # fmt: skip
        for rate, most in ((0.06, 60), (0.03, 190)):
            days, part = found[rate]
            met = _met(days is not None and days <= most, enough)
            self.target(f"value at risk, e-SR too many: median trading days, 1% to {rate:.0%}",
                        f"{days:g} ({part:.3f} found)", f"at most {most}", met)  # fmt: skip

    def replay(self, rows, facts, told, against):
        """The index, day by day."""
        gap, compared = against
        self.lines += [
            f"## {told}, replayed",
            "",
            *REPLAY_READING,
            "",
            "; ".join(f"{name}: {value}" for name, value in facts.items()) + ".",
            "",
            "| Rule | First alarm | Months in alarm, 2004 to 2006 |",
            "|---|---|---|",
            *(f"| {name} | {first} | {months} |" for name, first, months in rows),
            "",
            "Evidently's distance is computed here by its formula. Asked itself, on",
            f"{compared} columns of months, Evidently 0.7.23 differs by at most {gap:.1e} of the value.",
            "",
        ]
        for name, first, months in rows:
            said = f"{first}; calm months in alarm {months}" if months else first
            self.target(f"replay, {name}: first alarm", said, "", None)

    def write(self):
        """Both files."""
        words = {True: "yes", False: "**no**", None: ""}
        table = ["## Targets", "", "| Figure | Value | Goal | Met |", "|---|---|---|---|"]
        table += [
            f"| {r['name']} | {r['value']} | {r['goal']} | {words[r['met']]} |"
            for r in self.rows
            if r["goal"]
        ]
        missed = [r["name"] for r in self.rows if r["met"] is False]
        table += ["", "Missed: " + ("; ".join(missed) if missed else "none") + ".", ""]
        at = self.lines.index("## The credit book")
        lines = [*self.lines[:at], *table, *self.lines[at:]]
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "detection.md").write_text("\n".join(lines))
        told = {"command": self.command, "rows": self.rows}
        (self.folder / "detection.json").write_text(json.dumps(told, indent=2) + "\n")
        print("\n".join(table))
        print(f"wrote {self.folder.name}/detection.md and {self.folder.name}/detection.json")


def share(flags):
    """Of the true ones."""
    held = list(flags)
    return sum(held) / len(held)


def delayed(pairs, *, bare):
    """`median days / share`, or the share alone."""
    found = [d for _, d in pairs if d is not None]
    part = len(found) / len(pairs)
    if bare or not found:
        return cell(part)
    return f"{np.median(found):.0f}/{part:.2f}"


def cell(value):
    """A share with as many digits as it needs."""
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def with_error(value, runs):
    """A share and its standard error; a share of 0 or 1 with the 95% bound."""
    if value in {0, 1}:
        bound = 1 - 0.05 ** (1 / runs)
        return f"{value:.3f} (95%: {'up to' if value == 0 else 'from'} {abs(value - bound):.3f})"
    return f"{value:.3f} (s.e. {math.sqrt(value * (1 - value) / runs):.3f})"


def _met(met, enough):
    return bool(met) if enough else None


def _place(name):
    return next(place for place, start in enumerate(ORDER) if name.startswith(start)), name


TOO_FEW = "**Fewer than 200 seeds: no target is called met or missed.**"
INTRODUCTION = [
    "Every figure here is from a finite number of runs, so no rate is zero. What is promised of e-SR is",
    "a run length under its tolerance (docs/correctness.md); how soon it finds a change is measured",
    "here and promised by nothing. Two parts are simulated in time: the credit rows are real and their",
    "order is not, and exceedances are drawn at a rate. The replay is one history.",
    "",
    "A first acceptance, on seeds 20000 to 20199 with run length 2,750 for exceedances, missed one",
    "target: a rate of 6% was found after a median of 61.5 trading days, not 60; everything else was met.",
    "The default was then lowered to 2,500 and judged again on the seeds below, declared before that run.",
    "",
]
CREDIT_READING = [
    "20 months of 1,000 loans, labels 30 days late, broken after month 10, 20 seeds (standard error of",
    "a share up to .11). *FA*: share of runs with any alarm in months 1 to 10. *None*: share in months",
    "11 to 20 without a break. Other cells: median days from the break / share detected; one figure is",
    "the share alone. Under *covariate* and *benign* an alarm about accuracy is false. The breaks are",
    "in `tests/benchmarks/detect_credit.py`; the note that we follow does not say how its own were made.",
    "Monthly rules alarm again and again by chance: their shares in a column without effect are chance.",
    "",
    "*Reversed* is not in the note: as deep in AUC as *flip*, made otherwise.",
]
VAR_READING = [
    "FA: share of 1,000 runs of 756 days at 1% with an alarm; rules over 250 days can speak on 507 of",
    "them. Delay: median trading days / share found within 750 days, 400 runs, after 250 quiet days; a",
    "rule over 250 days counts from its next crossing. Page-Hinkley has threshold 5.",
]
REPLAY_READING = [
    "Value at risk at 99% frozen on the first years (for the S&P 500: 1999 to 2003), trees on six lagged",
    "features of the close, replayed day by day. One crisis is one observation: it ranks nothing. Rules",
    "on inputs are read every 21 days against the days the model learnt from.",
]
