"""A gating strategy as plain data, and a panel's compiled strategies as one JSON file.

What a template, a GatingML file or a workspace says is checked and read once; every job that gates tubes
reads the result of that, which needs no XML, no YAML and no FlowKit. The same plain form of a gate stands
in `gates.csv`: its coordinates and the scale they are stated in. Nothing is lost on the way there and back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from cytotrial.errors import TemplateError, all_problems
from cytotrial.files.whole import read_text, write_text
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Find,
    Gate,
    GatingStrategy,
    Instead,
    PolygonGate,
    Population,
    RectangleGate,
    SpilloverMatrix,
    Transform,
)

FORM = "cytotrial.gating/2"
"""Says which form the file is in; a file of another form is refused."""

Plain = dict[str, Any]


def write_strategies(path: Path, strategies: Mapping[str, GatingStrategy]) -> None:
    """Write sample name → strategy (`*` for all tubes) as JSON; the same strategies give the same bytes."""
    plain = {
        "form": FORM,
        "strategies": {name: strategy_to_plain(strategy) for name, strategy in strategies.items()},
    }
    write_text(path, json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_strategies(path: Path) -> dict[str, GatingStrategy]:
    """Read what `write_strategies` wrote.

    Raises
    ------
    TemplateError
        If the file is missing, is not such a file, or was changed so that a gate makes no sense.
    """
    try:
        plain = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise TemplateError(f"{path}: cannot be read ({type(error).__name__}).", hint=_REMEDY) from None
    if not isinstance(plain, dict) or plain.get("form") != FORM:
        raise TemplateError(f"{path}: is not a compiled gating of the form {FORM}.", hint=_REMEDY)
    strategies: dict[str, GatingStrategy] = {}
    problems = []
    for name, strategy in plain.get("strategies", {}).items():
        try:
            strategies[name] = strategy_from_plain(strategy)
        except TemplateError as error:
            problems.append(f"strategy {name}: {error}")
        except (KeyError, TypeError, ValueError, AttributeError):
            problems.append(f"strategy {name}: is not complete")
    if problems:
        raise TemplateError(all_problems(str(path), problems), hint=_REMEDY)
    return strategies


_REMEDY = "Run the read_gating rule again: the file is made from the panel's template and not edited by hand."


def gate_to_json(gate: Gate) -> str:
    """A gate as one line of JSON: sorted keys, the shortest numbers that read back the same.

    Examples
    --------
    >>> gate_to_json(RectangleGate((Dimension("CD4"),), (0.25,), (None,)))
    '{"dimensions":[{"channel":"CD4","matrix":"","transform":{"kind":"linear"}}],"high":[null],"low":[0.25],"type":"rectangle"}'
    """
    return json.dumps(
        gate_to_plain(gate), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def gate_from_json(text: str) -> Gate:
    """The gate of a line that `gate_to_json` wrote, or a person did.

    Raises
    ------
    TemplateError
        If it is not JSON, or not a gate.
    """
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise TemplateError(f"the gate is not JSON: {error}.") from None
    return gate_from_plain(plain)


def gate_to_plain(gate: Gate) -> Plain:
    """A gate as numbers, texts, lists and dicts.

    Returns
    -------
    dict
        `type` is rectangle (`low`, `high`: a number or None for each dimension), polygon (`vertices`),
        ellipsoid (`mean`, `covariance`, `distance_square`) or boolean (`operator`, `operands`: population
        and whether it is complemented). All but the last have `dimensions`: channel, matrix, transform.
    """
    if isinstance(gate, BooleanGate):
        return {
            "type": "boolean",
            "operator": gate.operator,
            "operands": [[name, bool(complement)] for name, complement in gate.operands],
        }
    dimensions = [_dimension_to_plain(dimension) for dimension in gate.dimensions]
    if isinstance(gate, RectangleGate):
        return {
            "type": "rectangle",
            "dimensions": dimensions,
            "low": [_limit(limit) for limit in gate.low],
            "high": [_limit(limit) for limit in gate.high],
        }
    if isinstance(gate, PolygonGate):
        return {"type": "polygon", "dimensions": dimensions, "vertices": [_floats(v) for v in gate.vertices]}
    return {
        "type": "ellipsoid",
        "dimensions": dimensions,
        "mean": _floats(gate.mean),
        "covariance": [_floats(row) for row in gate.covariance],
        "distance_square": float(gate.distance_square),
    }


def gate_from_plain(plain: Mapping[str, Any]) -> Gate:
    """The gate of `gate_to_plain`'s form.

    Raises
    ------
    TemplateError
        If it is not of that form, has another number of coordinates than dimensions, a coordinate that is
        not a number, or encloses nothing.
    """
    try:
        maker = _MAKERS[plain["type"]]
        gate = maker(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TemplateError(
            f"not a gate: {type(error).__name__} at {error}; known: {', '.join(_MAKERS)}."
        ) from None
    problem = _problem_of(gate)
    if problem:
        raise TemplateError(f"{plain['type']} gate: {problem}.")
    return gate


def _limit(limit: float | None) -> float | None:
    return None if limit is None else float(limit)


def _floats(values: Iterable[float]) -> list[float]:
    return [float(value) for value in values]


def _rectangle(plain: Mapping[str, Any]) -> Gate:
    low, high = (tuple(_limit(limit) for limit in plain[side]) for side in ("low", "high"))
    return RectangleGate(_dimensions(plain), low, high)


def _polygon(plain: Mapping[str, Any]) -> Gate:
    x, y = _dimensions(plain)
    return PolygonGate((x, y), tuple((float(a), float(b)) for a, b in plain["vertices"]))


def _ellipsoid(plain: Mapping[str, Any]) -> Gate:
    covariance = tuple(tuple(_floats(row)) for row in plain["covariance"])
    mean = tuple(_floats(plain["mean"]))
    return EllipsoidGate(_dimensions(plain), mean, covariance, float(plain["distance_square"]))


def _boolean(plain: Mapping[str, Any]) -> Gate:
    return BooleanGate(plain["operator"], tuple((str(name), bool(no)) for name, no in plain["operands"]))


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Gate]] = {
    "rectangle": _rectangle,
    "polygon": _polygon,
    "ellipsoid": _ellipsoid,
    "boolean": _boolean,
}


def _problem_of(gate: Gate) -> str:
    """Why a gate makes no sense, or nothing."""
    if isinstance(gate, BooleanGate):
        known = gate.operator in {"and", "or"} or (gate.operator == "not" and len(gate.operands) == 1)
        return "" if known and gate.operands else "expected and, or, or not of one population"
    n = len(gate.dimensions)
    if isinstance(gate, RectangleGate):
        numbers: list[float | None] = [*gate.low, *gate.high]
        shaped = len(gate.low) == len(gate.high) == n >= 1
    elif isinstance(gate, PolygonGate):
        numbers = [value for vertex in gate.vertices for value in vertex]
        shaped = len(gate.vertices) >= 3
    else:
        numbers = [*gate.mean, *(value for row in gate.covariance for value in row), gate.distance_square]
        shaped = len(gate.mean) == n >= 2 and [len(row) for row in gate.covariance] == [n] * n
    if not shaped:
        return f"its coordinates do not fit its {n} dimension(s), or are too few to enclose anything"
    return "" if all(v is None or math.isfinite(v) for v in numbers) else "a coordinate is not a number"


def _dimensions(plain: Mapping[str, Any]) -> tuple[Dimension, ...]:
    return tuple(_dimension_from_plain(dimension) for dimension in plain["dimensions"])


def _dimension_to_plain(dimension: Dimension) -> Plain:
    plain: Plain = {
        "channel": dimension.channel,
        "matrix": dimension.matrix,
        "transform": {"kind": dimension.transform.kind, **dict(dimension.transform.parameters)},
    }
    if dimension.denominator:
        plain |= {"denominator": dimension.denominator, "ratio": _floats(dimension.ratio)}
    return plain


def _dimension_from_plain(plain: Mapping[str, Any]) -> Dimension:
    parameters = {name: float(value) for name, value in plain["transform"].items() if name != "kind"}
    a, b, c = plain.get("ratio", (1.0, 0.0, 0.0))
    return Dimension(
        channel=str(plain["channel"]),
        transform=Transform(str(plain["transform"]["kind"]), tuple(sorted(parameters.items()))),
        matrix=str(plain["matrix"]),
        denominator=str(plain.get("denominator", "")),
        ratio=(float(a), float(b), float(c)),
    )


def strategy_to_plain(strategy: GatingStrategy) -> Plain:
    """A whole gating strategy as plain data."""
    return {
        "name": strategy.name,
        "version": strategy.version,
        "source": strategy.source,
        "populations": [population_to_plain(population) for population in strategy.populations],
        "matrices": {name: _matrix_to_plain(matrix) for name, matrix in strategy.matrices.items()},
        "reference": strategy.reference,
    }


def strategy_from_plain(plain: Mapping[str, Any]) -> GatingStrategy:
    """The strategy of `strategy_to_plain`'s form; KeyError, TypeError or TemplateError if it is not."""
    return GatingStrategy(
        name=plain["name"],
        version=plain["version"],
        source=plain["source"],
        populations=tuple(_population_from_plain(population) for population in plain["populations"]),
        matrices=MappingProxyType({name: _matrix_from_plain(m) for name, m in plain["matrices"].items()}),
        reference=plain["reference"],
    )


def population_to_plain(population: Population) -> Plain:
    return {
        "name": population.name,
        "parent": population.parent,
        "gate": None if population.gate is None else gate_to_plain(population.gate),
        "find": None if population.find is None else _find_to_plain(population.find),
        "from_sample": population.from_sample,
        "instead": None if population.instead is None else asdict(population.instead),
    }


def _population_from_plain(plain: Mapping[str, Any]) -> Population:
    return Population(
        name=plain["name"],
        parent=plain["parent"],
        gate=None if plain["gate"] is None else gate_from_plain(plain["gate"]),
        find=None if plain["find"] is None else _find_from_plain(plain["find"]),
        from_sample=plain["from_sample"],
        instead=None if plain["instead"] is None else Instead(**plain["instead"]),
    )


def _find_to_plain(find: Find) -> Plain:
    return {
        "finder": find.finder,
        "dimensions": [_dimension_to_plain(dimension) for dimension in find.dimensions],
        "arguments": dict(find.arguments),
        "control": find.control,
        "control_marker": find.control_marker,
        "fallback": _find_to_plain(find.fallback) if isinstance(find.fallback, Find) else find.fallback,
        "min_events": find.min_events,
        "second": None if find.second is None else _find_to_plain(find.second),
        "bound": None if find.bound is None else _find_to_plain(find.bound),
        "reference": None if find.reference is None else dict(find.reference),
    }


def _find_from_plain(plain: Mapping[str, Any]) -> Find:
    fallback = plain["fallback"]
    return Find(
        finder=plain["finder"],
        dimensions=_dimensions(plain),
        arguments=MappingProxyType({name: _frozen(value) for name, value in plain["arguments"].items()}),
        control=plain["control"],
        control_marker=plain["control_marker"],
        fallback=_find_from_plain(fallback) if isinstance(fallback, Mapping) else fallback,
        min_events=plain["min_events"],
        second=None if plain["second"] is None else _find_from_plain(plain["second"]),
        bound=None if plain["bound"] is None else _find_from_plain(plain["bound"]),
        reference=None if plain["reference"] is None else MappingProxyType(dict(plain["reference"])),
    )


def _frozen(value: Any) -> Any:
    """Lists as tuples, as a template's arguments are."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _matrix_to_plain(matrix: SpilloverMatrix) -> Plain:
    return {"detectors": list(matrix.detectors), "values": matrix.values.tolist(), "origin": matrix.origin}


def _matrix_from_plain(plain: Mapping[str, Any]) -> SpilloverMatrix:
    values = np.array(plain["values"], dtype=np.float64)
    return SpilloverMatrix(tuple(plain["detectors"]), values, plain["origin"])
