"""The register of attack cases (`tests/attacks/*.toml`) as data: every case on every tier has tests, or a typed reason why not."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "attacks"
TIERS = ("process", "wasm", "browser", "door")
# Why a tier has no test, in the words of the register.
REASONS = ("not-applicable", "needs", "not-offered", "open")


class Wrong(Exception):
    """The register, or what was asked of it, makes no sense."""


@dataclass(frozen=True)
class Proof:
    """What stands for a case on a tier: tests, or a reason of one of the four kinds."""

    tests: tuple[str, ...] = ()
    kind: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """One case of the catalogue."""

    id: str
    promise: str
    tiers: dict[str, Proof] = field(hash=False)


def proof(case: str, tier: str, value: object) -> Proof:
    """A tier's entry: a list of tests, or a table with one reason."""
    if isinstance(value, list) and value:
        return Proof(tests=tuple(value))
    if isinstance(value, dict) and len(value) == 1:
        kind, reason = next(iter(value.items()))
        if kind in REASONS:
            return Proof(kind=kind, reason=reason)
    raise Wrong(f"{case}: {tier} is neither a list of tests nor one of {', '.join(REASONS)}")


def read() -> list[Case]:
    """Every case, family by family."""
    cases = []
    for path in sorted(FOLDER.glob("*.toml")):
        table = tomllib.loads(path.read_text())
        elsewhere = table.pop("elsewhere", {})
        for case, entry in table.items():
            both = {**elsewhere, **entry}
            missing = [tier for tier in TIERS if tier not in both]
            if missing:
                raise Wrong(f"{case} says nothing of the tier {missing[0]}")
            cases.append(Case(case, entry["promise"], {tier: proof(case, tier, both[tier]) for tier in TIERS}))
    return cases


def chosen(cases: list[Case], wanted: list[str]) -> list[Case]:
    """Those that are asked for, by id (`NET-05`) or family (`NET`); all if nothing is."""
    if not wanted:
        return cases
    names = [name.upper() for name in wanted]
    unknown = [n for n in names if not any(c.id == n or c.id.rsplit("-", 1)[0] == n for c in cases)]
    if unknown:
        raise Wrong(f"the register has no case or family {unknown[0]}")
    return [c for c in cases if c.id in names or c.id.rsplit("-", 1)[0] in names]
