"""The shipped templates, and the same trees with other ways to place their terminal gates.

The peers follow published rules as the project's own finders implement them: a density's minimum and a tail
(openCyto), a quantile of the control (FMO or unstimulated), and flowDensity's threshold, a valley or else the
place where the flank levels off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cytotrial.terms import Find, GatingStrategy, Population

Change = Callable[[Population], Find]


def with_finds(strategy: GatingStrategy, changes: Mapping[str, Find]) -> GatingStrategy:
    """The strategy with other finders for some populations, and without second opinions."""

    def changed(population: Population) -> Population:
        if population.name in changes:
            return replace(population, find=changes[population.name])
        if population.find is None:
            return population
        return replace(population, find=replace(population.find, second=None))

    return replace(strategy, populations=tuple(map(changed, strategy.populations)))


def treg_methods(strategy: GatingStrategy) -> dict[str, GatingStrategy]:
    """Ways to cut CD25, FOXP3 and CD127, by name."""
    finds = {p.name: p.find for p in strategy.populations if p.find}
    cuts = {"CD25+": (0.3, 0.65), "FOXP3+": (0.25, 0.6), "CD127lo": (0.3, 0.6)}

    def each(finder: str, *, axes: int = 3, **arguments: Any) -> dict[str, Find]:
        made = {}
        for name, (low, high) in cuts.items():
            below = name == "CD127lo"
            keep: dict[str, Any] = {"keep": "below"} if below else {}
            own = {key: value(name) if callable(value) else value for key, value in arguments.items()}
            fallback = high if below else low
            made[name] = Find(finder, finds[name].dimensions[:axes], {**keep, **own}, fallback=fallback)
        return made

    bounds = cuts.__getitem__
    fallback = {name: find.fallback for name, find in finds.items() if name in cuts}
    valley = each("density_minimum", axes=1, bounds=bounds)
    fmo = {
        name: replace(
            valley[name], finder="control_quantile", arguments={"quantile": 0.995}, control="fmo",
            control_marker=name.removesuffix("+"),
        )
        for name in ("CD25+", "FOXP3+")
    }  # fmt: skip
    side = lambda name: "left" if name == "CD127lo" else "right"  # noqa: E731
    flank = each("tail", axes=1, side=side, tolerance=0.1)
    return {
        "landmark_fraction": with_finds(strategy, {n: f for n, f in fallback.items() if isinstance(f, Find)}),
        "reference_valley": with_finds(strategy, each("reference_valley", axes=1, min_similarity=0.0)),
        "density minimum in a range": with_finds(strategy, valley),
        "tail gate, tolerance 0.01": with_finds(strategy, each("tail", axes=1, side=side)),
        "flowDensity-like": with_finds(strategy, {n: replace(valley[n], fallback=flank[n]) for n in cuts}),
        "FMO 99.5 %": with_finds(strategy, {**valley, **fmo}),
    }


def th17_methods(strategy: GatingStrategy) -> dict[str, GatingStrategy]:
    """Ways to cut IL-17A, by name."""
    find = next(p.find for p in strategy.populations if p.name == "Th17")
    assert find is not None
    bounds = (0.25, 0.6)

    def one(finder: str, **arguments: Any) -> GatingStrategy:
        return with_finds(
            strategy, {"Th17": Find(finder, find.dimensions[:1], arguments, fallback=bounds[0])}
        )

    def control(role: str, marker: str, quantile: float) -> GatingStrategy:
        made = Find(
            "control_quantile", find.dimensions[:1], {"quantile": quantile},
            control=role, control_marker=marker, fallback=bounds[0],
        )  # fmt: skip
        return with_finds(strategy, {"Th17": made})

    return {
        "reference_valley": one("reference_valley", min_similarity=0.0),
        "density minimum in a range": one("density_minimum", bounds=bounds),
        "tail gate, tolerance 0.01": one("tail"),
        "FMO 99.9 %": control("fmo", "IL-17A", 0.999),
        "unstimulated 99.9 %": control("unstimulated", "", 0.999),
    }
