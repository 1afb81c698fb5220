"""What a relying party demands of a model's executions: the appraisal policy (RFC 9334, 8.4).

A policy is canonical JSON, so it has one digest, and every prediction names the digest of the
policy it was made under. An auditor brings the policy from outside, or uses `DEFAULT_POLICY`,
whose digest is a constant of the release.

```json
{"default":{"environments":[],"modes":["signed"],"tolerances":{}},
 "models":{"value-at-risk":{"environments":[],"modes":["signed"],"tolerances":{"var_990_pct_q16":2}}},
 "name":"house","schema":"assay/appraisal-policy/v1"}
```

`modes`: verification modes accepted. `environments`: environment digests accepted, empty for any.
`tolerances`: by output name, the largest difference, in the output's own integer unit, that replay
still counts as within tolerance; an output not named has none. A policy never speaks of accuracy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.canonical import canonical_bytes, parse_canonical
from ledger.errors import CanonicalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEMA: Final = "assay/appraisal-policy/v1"
_POLICY_KEYS: Final = {"schema", "name", "default", "models"}
_RULE_KEYS: Final = {"modes", "environments", "tolerances"}


class PolicyError(ValueError):
    """A policy that cannot be used; names the place in it."""

    def __init__(self, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(f"policy, {where}: {reason}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is demanded of one model."""

    modes: tuple[str, ...] = ("signed",)
    environments: tuple[str, ...] = ()
    tolerances: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.modes:  # elsewhere an empty list means any; here it would accept no evidence
            raise PolicyError("modes", "accepts no mode, so no prediction could be made")

    def to_json(self) -> dict[str, object]:
        """The rule as plain JSON, lists sorted."""
        return {
            "environments": sorted(self.environments),
            "modes": sorted(self.modes),
            "tolerances": dict(self.tolerances),
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """A named set of rules: one for every model, others by model name."""

    name: str
    default: Rule = field(default_factory=Rule)
    models: Mapping[str, Rule] = field(default_factory=dict)
    digest: str = field(init=False)
    """`sha256:<64 hex>` of the canonical bytes."""

    def __post_init__(self) -> None:
        """Take the digest once: every prediction names it."""
        object.__setattr__(self, "digest", f"sha256:{hashlib.sha256(self.to_bytes()).hexdigest()}")

    def rule_for(self, model_name: str) -> Rule:
        """The rule of a model: its own, else the default."""
        return self.models.get(model_name, self.default)

    def to_bytes(self) -> bytes:
        """The canonical bytes whose digest the entries name."""
        return canonical_bytes(
            {
                "schema": SCHEMA,
                "name": self.name,
                "default": self.default.to_json(),
                "models": {name: rule.to_json() for name, rule in self.models.items()},
            }
        )


DEFAULT_POLICY: Final = Policy(name="default")


def parse_policy(data: bytes) -> Policy:
    """Read a policy; raises PolicyError for an unknown or missing key, type or schema.

    The text may be indented: its canonical form gives the digest.
    """
    try:
        value = parse_canonical(canonical_bytes(json.loads(data, object_pairs_hook=_pairs)))
    except (ValueError, RecursionError, CanonicalError) as error:
        raise PolicyError("the file", f"is not JSON without floats: {error}") from error
    policy = _object(value, "top level", _POLICY_KEYS)
    if policy["schema"] != SCHEMA:
        raise PolicyError("schema", f"expected {SCHEMA}, got {policy['schema']!r}")
    models = policy["models"]
    if not isinstance(models, dict):
        raise PolicyError("models", "expected an object of rules by model name")
    return Policy(
        name=_text(policy["name"], "name"),
        default=_rule(policy["default"], "default"),
        models={name: _rule(rule, f"models.{name}") for name, rule in models.items()},
    )


def load_policy(path: Path) -> Policy:
    """Read a policy file; raises PolicyError, or OSError when it cannot be read."""
    return parse_policy(path.read_bytes())


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        message = f"a key is given twice among {sorted(name for name, _ in pairs)}"
        raise ValueError(message)
    return value


def _rule(value: object, where: str) -> Rule:
    rule = _object(value, where, _RULE_KEYS)
    tolerances = rule["tolerances"]
    if not isinstance(tolerances, dict):
        raise PolicyError(f"{where}.tolerances", "expected integers by output name")
    for name, limit in tolerances.items():
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise PolicyError(f"{where}.tolerances.{name}", f"expected an integer >= 0: {limit!r}")
    modes = _texts(rule["modes"], f"{where}.modes")
    environments = _texts(rule["environments"], f"{where}.environments")
    try:
        return Rule(modes, environments, tolerances)
    except PolicyError as error:
        raise PolicyError(f"{where}.{error.where}", error.reason) from error


def _object(value: object, where: str, keys: set[str]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise PolicyError(where, f"expected an object, got {type(value).__name__}")
    if set(value) != keys:
        raise PolicyError(where, f"expected the keys {sorted(keys)}, got {sorted(value)}")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyError(where, f"expected text, got {value!r}")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise PolicyError(where, f"expected a list of texts, got {value!r}")
    texts = sorted(_text(item, where) for item in value)
    if len(set(texts)) != len(texts):
        raise PolicyError(where, f"names something twice among {texts}")
    return tuple(texts)
