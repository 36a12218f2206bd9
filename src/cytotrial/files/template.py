"""Gating templates: YAML, one entry per population, parents before children.

A template names markers; which detector a marker is on is the panel's and the tube's
business. Coordinates are on the scale that the template states for the channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from cytotrial.errors import TemplateError, all_problems
from cytotrial.files.yaml_strict import read_yaml
from cytotrial.terms import (
    IDENTITY,
    ROOT,
    TUBE_MATRIX,
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
    Transform,
)

MAX_POPULATIONS = 500

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/=@][^\x00-\x1f/]*$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Scale(_Model):
    kind: Literal["logicle", "asinh", "hyperlog", "log", "linear"] = "logicle"
    t: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 262144
    w: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    m: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 4.5
    a: Annotated[float, Field(allow_inf_nan=False)] = 0

    @model_validator(mode="after")
    def _legal(self) -> _Scale:
        if self.w > self.m / 2:
            raise ValueError(f"w {self.w:g} must be at most m/2 = {self.m / 2:g}")
        if not -self.w <= self.a <= self.m - 2 * self.w:
            raise ValueError(f"a {self.a:g} must lie between -w and m - 2w")
        return self

    def transform(self) -> Transform:
        names = {"logicle": "amtw", "hyperlog": "amtw", "asinh": "amt", "log": "mt", "linear": "at"}[
            self.kind
        ]
        return Transform(self.kind, tuple((name, float(getattr(self, name))) for name in names))


class _Scales(_Model):
    default: _Scale = Field(default_factory=_Scale)
    linear: list[Name] = Field(default_factory=list)
    channels: dict[Name, _Scale] = Field(default_factory=dict)


class _Not(_Model):
    not_: Name = Field(alias="not")


class _Ellipse(_Model):
    mean: list[Number]
    covariance: list[list[Number]]
    distance_square: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class _Gate(_Model):
    low: Number | list[Number | None] | None = None
    high: Number | list[Number | None] | None = None
    polygon: list[list[Number]] | None = None
    ellipse: _Ellipse | None = None
    and_: list[Name | _Not] | None = Field(None, alias="and")
    or_: list[Name | _Not] | None = Field(None, alias="or")
    not_: Name | None = Field(None, alias="not")


class _Control(_Model):
    role: Literal["fmo", "unstimulated", "isotype"]
    marker: Name | None = None


_TAGS = ("one", "four", "cut", "finder_in_its_place")
"""Words by which the forms of an entry are told apart; no key of a template."""


class _Bound(_Model):
    control: _Control
    quantile: Annotated[float, Field(gt=0.5, lt=1)] = 0.995


def _kind_of_fallback(value: Any) -> str:
    return "finder_in_its_place" if isinstance(value, Mapping | BaseModel) else "cut"


class _Finder(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    finder: Name
    control: _Control | None = None
    fallback: (
        Annotated[
            Annotated[Number, Tag("cut")] | Annotated[_Other, Tag("finder_in_its_place")],
            Discriminator(_kind_of_fallback),
        ]
        | None
    ) = None
    min_events: Annotated[int, Field(ge=0)] = 0


class _Other(_Finder):
    """A finder that answers in another's place, or beside it; it may look at other channels."""

    channels: list[Name] = Field(default_factory=list, max_length=6)


class _Find(_Finder):
    second: _Other | None = None
    bound: _Bound | None = None


class _When(_Model):
    population: Name
    depth_below: Annotated[float, Field(gt=0, le=1)]


class _Instead(_Model):
    when: _When
    use: Name
    flag: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{2,39}$")]


class _Quadrant(_Model):
    first: Name
    second: Name
    both: Name
    first_only: Name
    second_only: Name
    neither: Name


class _Population(_Model):
    name: Name
    parent: Name = ROOT
    channels: list[Name] = Field(default_factory=list, max_length=6)
    gate: _Gate | None = None
    find: _Find | None = None
    from_sample: bool = False
    instead: _Instead | None = None

    @model_validator(mode="after")
    def _one_of_gate_and_find(self) -> _Population:
        if (self.gate is None) == (self.find is None):
            raise ValueError("give exactly one of gate and find")
        if self.instead is not None and self.instead.use != self.parent:
            raise ValueError(f"instead.use '{self.instead.use}' is not the parent '{self.parent}'")
        return self


class _Four(_Model):
    """Four populations of one parent, by two others that divide it."""

    quadrant: _Quadrant
    parent: Name = ROOT

    def populations(self) -> list[_Population]:
        names = self.quadrant
        sides = {
            names.both: (names.first, names.second),
            names.first_only: (names.first, {"not": names.second}),
            names.second_only: ({"not": names.first}, names.second),
            names.neither: ({"not": names.first}, {"not": names.second}),
        }
        return [
            _Population.model_validate({"name": name, "parent": self.parent, "gate": {"and": list(both)}})
            for name, both in sides.items()
        ]


def _kind_of_entry(entry: Any) -> str:
    return (
        "four" if isinstance(entry, _Four) or (isinstance(entry, Mapping) and "quadrant" in entry) else "one"
    )


_Entry = Annotated[
    Annotated[_Population, Tag("one")] | Annotated[_Four, Tag("four")], Discriminator(_kind_of_entry)
]


class _Template(_Model):
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}([-+.][A-Za-z0-9.]+)?$")]
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    scales: _Scales = Field(default_factory=_Scales)
    populations: list[_Entry] = Field(min_length=1, max_length=MAX_POPULATIONS)

    def entries(self) -> list[_Population]:
        """Every population, those of quadrants written out."""
        return [
            population
            for entry in self.populations
            for population in (entry.populations() if isinstance(entry, _Four) else [entry])
        ]


def read_template(path: Path) -> GatingStrategy:
    """The gating strategy of a YAML template.

    Raises
    ------
    TemplateError
        With every problem of the file: unknown keys, parents that are missing or come later,
        names used twice, gates that do not fit their channels.
    ConfigError
        If the file is not plain YAML data.
    """
    plain = read_yaml(path)
    try:
        template = _Template.model_validate(plain)
    except ValidationError as error:
        problems = [
            f"{_place(item['loc'], plain)}: {_message(item)}" for item in error.errors(include_url=False)
        ]
        raise TemplateError(all_problems(str(path), problems)) from None
    problems = list(_tree_problems(template.entries()))
    populations = []
    for entry in template.entries():
        try:
            populations.append(_population(entry, template.scales))
        except TemplateError as error:
            problems.append(f"population {entry.name}: {error}")
    if problems:
        raise TemplateError(all_problems(str(path), problems))
    return GatingStrategy(
        name=template.name or path.stem,
        version=template.version,
        source=path.name,
        populations=tuple(populations),
    )


def _place(location: tuple[Any, ...], plain: Mapping[str, Any]) -> str:
    """Where a problem is, with the population's name instead of its number."""
    parts = [str(part) for part in location if part not in _TAGS]
    if len(parts) > 1 and parts[0] == "populations" and parts[1].isdigit():
        entry = plain["populations"][int(parts[1])]
        name = entry.get("name", parts[1]) if isinstance(entry, Mapping) else parts[1]
        return ".".join([f"population {str(name)[:40]}", *parts[2:]])
    return ".".join(parts) or "the file"


def _message(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    return str(item["msg"]).removeprefix("Value error, ")


def _tree_problems(entries: Iterable[_Population]) -> Iterator[str]:
    seen = {ROOT}
    for entry in entries:
        if entry.name in seen:
            yield f"population {entry.name}: the name is used twice"
        needed = [entry.parent, *_operands(entry)]
        for name in needed:
            if name not in seen:
                yield f"population {entry.name}: '{name}' is not defined above it"
        seen.add(entry.name)


def _operands(entry: _Population) -> list[str]:
    gate = entry.gate
    watched = entry.instead.when.population if entry.instead else entry.name
    if gate is None:
        return [watched] if watched != entry.name else []
    named: list[str | _Not] = [*(gate.and_ or []), *(gate.or_ or []), *([gate.not_] if gate.not_ else [])]
    return [operand.not_ if isinstance(operand, _Not) else operand for operand in named]


def _population(entry: _Population, scales: _Scales) -> Population:
    dimensions = tuple(_dimension(channel, scales) for channel in entry.channels)
    find = None if entry.find is None else _find(entry.find, dimensions, scales)
    gate = None if entry.gate is None else _gate(entry.gate, dimensions)
    return Population(
        entry.name,
        entry.parent,
        gate=gate,
        find=find,
        from_sample=entry.from_sample,
        instead=_instead(entry.instead) if entry.instead else None,
    )


def _instead(entry: _Instead) -> Instead:
    return Instead(entry.when.population, entry.when.depth_below, entry.flag)


def _dimension(channel: str, scales: _Scales) -> Dimension:
    if channel in scales.linear:
        return Dimension(channel, IDENTITY)
    return Dimension(channel, scales.channels.get(channel, scales.default).transform(), TUBE_MATRIX)


def _find(entry: _Finder, dimensions: tuple[Dimension, ...], scales: _Scales) -> Find:
    if isinstance(entry, _Other) and entry.channels:
        dimensions = tuple(_dimension(channel, scales) for channel in entry.channels)
    if not dimensions:
        raise TemplateError("a gate finder needs channels")
    fallback, second, bound = entry.fallback, getattr(entry, "second", None), getattr(entry, "bound", None)
    return Find(
        finder=entry.finder,
        dimensions=dimensions,
        arguments=_arguments(entry),
        control=entry.control.role if entry.control else "",
        control_marker=(entry.control.marker or "") if entry.control else "",
        fallback=_find(fallback, dimensions, scales) if isinstance(fallback, _Other) else fallback,
        min_events=entry.min_events,
        second=_find(second, dimensions, scales) if second else None,
        bound=_bound(bound, dimensions, entry) if bound else None,
    )


def _arguments(entry: _Finder) -> Mapping[str, Any]:
    return MappingProxyType({key: _frozen(value) for key, value in (entry.model_extra or {}).items()})


def _bound(entry: _Bound, dimensions: tuple[Dimension, ...], find: _Finder) -> Find:
    """The quantile of a control that a cut should not lie below, as a finder of its own."""
    if (find.model_extra or {}).get("keep", "above") != "above":
        raise TemplateError("bound is for a gate that keeps what lies above its cut")
    return Find(
        "control_quantile",
        dimensions[:1],
        MappingProxyType({"quantile": entry.quantile}),
        control=entry.control.role,
        control_marker=entry.control.marker or "",
    )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _gate(entry: _Gate, dimensions: tuple[Dimension, ...]) -> Gate:
    """The gate of a template's entry, on the channels it names."""
    kinds = [
        name for name in ("polygon", "ellipse", "and_", "or_", "not_") if getattr(entry, name) is not None
    ]
    if entry.low is not None or entry.high is not None:
        kinds.append("rectangle")
    if len(kinds) != 1:
        raise TemplateError("a gate is one of low/high, polygon, ellipse, and, or, not")
    makers = {"polygon": _polygon, "ellipse": _ellipsoid, "rectangle": _rectangle}
    if kinds[0] in makers:
        return makers[kinds[0]](entry, dimensions)
    return _boolean(entry)


def _polygon(entry: _Gate, dimensions: tuple[Dimension, ...]) -> Gate:
    vertices = entry.polygon or []
    if len(dimensions) != 2:
        raise TemplateError(f"a polygon needs two channels, found {len(dimensions)}")
    if len(vertices) < 3 or any(len(vertex) != 2 for vertex in vertices):
        raise TemplateError("a polygon needs at least three vertices of two coordinates each")
    return PolygonGate((dimensions[0], dimensions[1]), tuple((float(x), float(y)) for x, y in vertices))


def _ellipsoid(entry: _Gate, dimensions: tuple[Dimension, ...]) -> Gate:
    ellipse = entry.ellipse
    n = len(dimensions)
    if (
        ellipse is None
        or n < 2
        or len(ellipse.mean) != n
        or [len(row) for row in ellipse.covariance] != [n] * n
    ):
        raise TemplateError("an ellipse needs a mean and a square covariance of as many numbers as channels")
    covariance = tuple(tuple(float(value) for value in row) for row in ellipse.covariance)
    return EllipsoidGate(dimensions, tuple(map(float, ellipse.mean)), covariance, ellipse.distance_square)


def _rectangle(entry: _Gate, dimensions: tuple[Dimension, ...]) -> Gate:
    low, high = (_limits(limit, len(dimensions)) for limit in (entry.low, entry.high))
    for below, above in zip(low, high, strict=True):
        if below is not None and above is not None and below >= above:
            raise TemplateError(
                f"low {below:g} is not below high {above:g}: the gate could never hold an event"
            )
    return RectangleGate(dimensions, low, high)


def _limits(limit: Any, n: int) -> tuple[float | None, ...]:
    if limit is None:
        return (None,) * n
    values = limit if isinstance(limit, list) else [limit]
    if len(values) != n:
        raise TemplateError(f"{len(values)} limit(s) for {n} channel(s)")
    return tuple(None if value is None else float(value) for value in values)


def _boolean(entry: _Gate) -> Gate:
    if entry.not_ is not None:
        return BooleanGate("not", ((entry.not_, False),))
    operator: Literal["and", "or"] = "and" if entry.and_ is not None else "or"
    named = entry.and_ or entry.or_ or []
    if len(named) < 2:
        raise TemplateError(f"{operator} needs at least two populations")
    return BooleanGate(
        operator,
        tuple((item.not_, True) if isinstance(item, _Not) else (item, False) for item in named),
    )
