"""Whether an override still stands: on the same file, the same template, the same gates above it.

`old_sha` is the digest of all that a person saw when deciding. It is made of text, never of numbers
computed anew, so that the review page and this module come to the same digest: the SHA-256 of the file, the
digest of the template's entry of the population and of those above it, the gates above it as they applied
(by hand or automatic), and the automatic gate itself.

An override changes its own gate and nothing else: gates below it stay where the automatic gating put them,
and their events change. That is what the review page shows while a gate is dragged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cytotrial.files.overrides.rows import WITH_NEW_GATE, Override, digest_of_text
from cytotrial.files.strategy import gate_to_json, population_to_plain
from cytotrial.terms import ROOT, BooleanGate, Gate, GatingStrategy, PlacedGate


@dataclass(frozen=True)
class Stale:
    """An override that no longer stands, and why."""

    override: Override
    reason: str

    def __str__(self) -> str:
        row = self.override
        return f"override {row.override_id} (tube {row.sample_id}, {row.population}): {self.reason}"


@dataclass(frozen=True)
class Standing:
    """What the overrides of one tube come to.

    gates : population → the gate by hand that replaces the automatic one
    excluded : population → the override by which it is not used
    accepted : population → the override by which its automatic gate was approved
    applied : population → the override behind its gate by hand
    stale : overrides that must not be applied, in gating order
    """

    gates: Mapping[str, Gate] = field(default_factory=dict)
    excluded: Mapping[str, Override] = field(default_factory=dict)
    accepted: Mapping[str, Override] = field(default_factory=dict)
    applied: Mapping[str, Override] = field(default_factory=dict)
    stale: Sequence[Stale] = ()


def deciding(overrides: Iterable[Override]) -> dict[str, Override]:
    """Population → the override that decides it: the last of one tube's rows, in the order of the file."""
    return {row.population: row for row in overrides}


def applicable(
    overrides: Iterable[Override],
    placed: Sequence[PlacedGate],
    *,
    fcs_sha256: str,
    entries: Mapping[str, str],
) -> Standing:
    """Which overrides of one tube apply to its automatically placed gates, and which are stale.

    Parameters
    ----------
    overrides : iterable of Override
        The tube's rows in the order of the file; of each population the last one decides.
    placed : sequence of PlacedGate
        The automatic gates, placed as if there were no override, in gating order.
    fcs_sha256 : str
        SHA-256 of the tube's file.
    entries : mapping of population to digest
        Of the template's entries (`entry_digests`).

    Returns
    -------
    Standing
        An override is stale if its file, the template's entry of its population or of one above it,
        its automatic gate, or a gate above it (automatic or by hand) has changed since it was made, or
        if its population has no automatic gate any more. One that rests on a stale one is stale too.
    """
    last = deciding(overrides)
    texts: dict[str, str] = {}
    found: dict[str, dict[str, Override]] = {"gates": {}, "exclude": {}, "accept": {}}
    gates: dict[str, Gate] = {}
    stale: list[Stale] = []
    by_name = {gate.population: gate for gate in placed}
    for name, automatic in by_name.items():
        texts[name] = gate_to_json(automatic.gate)
        row = last.pop(name, None)
        if row is None:
            continue
        above = upstream_of(name, by_name)
        digest = basis_digest(
            name, texts[name], fcs_sha256=fcs_sha256, entries=entries, above={up: texts[up] for up in above}
        )
        if row.old_sha != digest:
            stale.append(Stale(row, _why(row, texts[name])))
        elif row.action in WITH_NEW_GATE:
            gates[name], texts[name] = row.gate(), row.new_gate
            found["gates"][name] = row
        else:
            found[row.action][name] = row
    stale += [
        Stale(row, "its population has no automatic gate in this tube any more") for row in last.values()
    ]
    return Standing(gates, found["exclude"], found["accept"], found["gates"], tuple(stale))


def _why(row: Override, automatic: str) -> str:
    if row.old_gate != automatic:
        return "the automatic gate has another place than when the override was made"
    return (
        "the tube's file, the template's entry of this population or of one above it, or a gate above it "
        "has changed since the override was made"
    )


def basis_digest(
    population: str, automatic: str, *, fcs_sha256: str, entries: Mapping[str, str], above: Mapping[str, str]
) -> str:
    """The digest of an automatic gate and of what it rests on.

    Parameters
    ----------
    population, automatic : str
        Name, and the automatic gate as JSON text.
    above : mapping of population to gate text
        The gates above it as they apply, in gating order.

    Examples
    --------
    >>> basis_digest("CD4+", "{}", fcs_sha256="00", entries={"CD4+": "11"}, above={})[:12]
    'ff78f97a33e0'
    """
    lines = [f"file {fcs_sha256}"]
    lines += [f"entry {name} {entries.get(name, '')}" for name in (*above, population)]
    lines += [f"gate {name} {text}" for name, text in above.items()]
    lines.append(f"gate {population} {automatic}")
    return digest_of_text("\n".join(lines))


def upstream_of(population: str, placed: Mapping[str, PlacedGate]) -> tuple[str, ...]:
    """The populations whose gates decide who is in one, itself left out, in gating order.

    Its parent and what a boolean gate joins, and what those rest on in turn.
    """
    found: set[str] = set()
    todo = [population]
    while todo:
        entry = placed.get(todo.pop())
        if entry is None:
            continue
        joined = [name for name, _ in entry.gate.operands] if isinstance(entry.gate, BooleanGate) else []
        for name in (entry.parent, *joined):
            if name not in found and name != ROOT:
                found.add(name)
                todo.append(name)
    return tuple(name for name in placed if name in found)


def entry_digests(strategy: GatingStrategy) -> dict[str, str]:
    """Population → digest of its entry in the compiled gating: how its gate is placed."""
    return {
        entry.name: digest_of_text(
            json.dumps(population_to_plain(entry), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        )[:16]
        for entry in strategy.populations
    }


def blinded_id(study: str, sample_id: str) -> str:
    """The name of a tube on a blinded page: says nothing by itself, and a study's own tubes find it again."""
    return f"blind-{digest_of_text(f'{study} {sample_id}')[:12]}"


def unblinded(
    rows: Iterable[Override], sample_ids: Iterable[str], *, study: str
) -> dict[str, list[Override]]:
    """sample_id → its overrides in the order of the file, blinded names resolved; unknown names stay."""
    names = {blinded_id(study, sample_id): sample_id for sample_id in sample_ids}
    by_tube: dict[str, list[Override]] = {}
    for row in rows:
        by_tube.setdefault(names.get(row.sample_id, row.sample_id), []).append(row)
    return by_tube
