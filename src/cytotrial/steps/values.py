"""Every parameter of one draw, each from the parts it depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cytotrial.errors import CountError
from cytotrial.science.counting import (
    BELOW_QUANTITATION,
    NO_EVENT,
    NOT_DETECTED,
    TYPICAL,
    count_across_tubes,
    detection,
    events_above_background,
    frequency,
    is_implausible,
    ratio_of_counts,
    ratio_of_shared_parent,
    subtract_background,
)
from cytotrial.settings import (
    Absolute,
    CrossTube,
    Parameter,
    ParameterCode,
    Percent,
    Ratio,
    Settings,
    event_limits,
)
from cytotrial.steps.absolute import CountTube, count_absolute
from cytotrial.steps.draws import (
    Draw,
    TubePopulations,
    Value,
    ancestors,
    events_of,
    in_tube,
    no_count,
    valued,
)
from cytotrial.terms import Count, Role, Status

ORDER = (Absolute, Percent, CrossTube, Ratio)
"""Parameters are worked out in the order in which they depend on each other."""

LIMIT_FLAGS = {NOT_DETECTED: "BELOW_LOD", BELOW_QUANTITATION: "BELOW_LLOQ"}


def values_of(draw: Draw, settings: Settings) -> dict[ParameterCode, Value]:
    """Every configured parameter of one draw."""
    values: dict[ParameterCode, Value] = {}
    ordered = sorted(settings.parameters.items(), key=lambda item: (ORDER.index(type(item[1])), item[0]))
    for code, parameter in ordered:
        values[code] = _judged(_value(draw, parameter, values, settings), code, values, settings)
    return values


def _value(
    draw: Draw, parameter: Parameter, values: Mapping[ParameterCode, Value], settings: Settings
) -> Value:
    if isinstance(parameter, Absolute):
        population = parameter.population
        return in_tube(
            draw,
            parameter.panel,
            lambda rows, tube: count_absolute(CountTube(draw, rows, tube, settings), population),
        )
    if isinstance(parameter, Percent):
        stimulated = in_tube(draw, parameter.panel, lambda rows, _: _percent(rows, parameter))
        return _net(draw, stimulated, parameter) if parameter.background else stimulated
    if isinstance(parameter, CrossTube):
        return _combined((values[parameter.percent], values[parameter.count]), count_across_tubes)
    return _ratio(parameter, values, settings)


def _percent(rows: TubePopulations, parameter: Percent) -> Count:
    events, flags = events_of(rows, parameter.population)
    parent_events, parent_flags = events_of(rows, parameter.of)
    if parameter.of not in ancestors(rows, parameter.population):
        raise CountError(f"'{parameter.of}' is no ancestor of '{parameter.population}' in the gating.")
    count = frequency(events, parent_events)
    return replace(count, flags=(*count.flags, *flags, *parent_flags))


def _net(draw: Draw, stimulated: Value, parameter: Percent) -> Value:
    """The percentage net of the unstimulated tube; without that tube the raw one, flagged."""
    unstimulated = in_tube(
        draw, parameter.panel, lambda rows, _: _percent(rows, parameter), Role.UNSTIMULATED
    )
    if stimulated.count is None:
        return stimulated
    if unstimulated.count is None:
        return replace(
            stimulated, status=Status.WARN, flags=(*stimulated.flags, "NO_BACKGROUND", *unstimulated.flags)
        )
    net = subtract_background(stimulated.count, unstimulated.count)
    background = [f"UNSTIMULATED_{flag}" for flag in unstimulated.flags if flag != NO_EVENT]
    flags = (*stimulated.flags, *net.flags, *background)
    return valued(net, flags, (*stimulated.tubes, *unstimulated.tubes), stimulated.versions)


def _combined(parts: Sequence[Value], make: Callable[[Count, Count], Count]) -> Value:
    """A value made of two others; missing if either is, with the reasons of what is missing."""
    tubes = tuple(dict.fromkeys(tube for part in parts for tube in part.tubes))
    versions = tuple(dict.fromkeys(version for part in parts for version in part.versions))
    absent = [part for part in parts if part.count is None]
    if absent:
        worst = Status.FAIL if any(part.status is Status.FAIL for part in absent) else Status.NOT_DONE
        flags = tuple(dict.fromkeys(flag for part in absent for flag in part.flags))
        return Value(None, worst, flags, tubes, versions)
    first, second = (part.count for part in parts)
    assert first is not None
    assert second is not None
    flags = tuple(dict.fromkeys(flag for part in parts for flag in part.flags))
    try:
        count = make(first, second)
    except CountError as error:
        return Value(None, Status.FAIL, (*flags, no_count(error)), tubes, versions)
    return valued(count, flags, tubes, versions)


def _ratio(parameter: Ratio, values: Mapping[ParameterCode, Value], settings: Settings) -> Value:
    """Ratio of two counts of a draw; a count that both share cancels, and the fractions are divided."""
    codes = (parameter.numerator, parameter.denominator)
    parts = tuple(values[code] for code in codes)
    if any(part.count is None for part in parts):
        return _combined(parts, ratio_of_counts)
    _, lloq = event_limits(settings, parameter.denominator)
    if (below := parts[1].count) is not None and events_above_background(below) < lloq:
        joined = _combined(parts, lambda first, _: first)
        flags = ("DENOMINATOR_BELOW_LLOQ", *joined.flags)
        return replace(joined, count=None, status=Status.NOT_DONE, flags=flags)
    fractions = _fractions_of_one_parent(parameter, values, settings)
    if fractions is None:
        return _combined(parts, ratio_of_counts)
    divided = _combined(fractions, ratio_of_shared_parent)
    if divided.count is None:
        return divided
    tubes = tuple(dict.fromkeys(tube for part in parts for tube in part.tubes))
    flags = tuple(flag for part in parts for flag in part.flags)
    return valued(divided.count, flags, tubes, divided.versions)


def _fractions_of_one_parent(
    parameter: Ratio, values: Mapping[ParameterCode, Value], settings: Settings
) -> tuple[Value, Value] | None:
    """The two percentages, if both counts are percentages of the count of one parent."""
    above, below = (settings.parameters[code] for code in (parameter.numerator, parameter.denominator))
    if isinstance(above, CrossTube) and isinstance(below, CrossTube) and above.count == below.count:
        return values[above.percent], values[below.percent]
    return None


def _judged(
    value: Value, code: ParameterCode, values: Mapping[ParameterCode, Value], settings: Settings
) -> Value:
    """Flag a count of fewer events than the limits of its parameter, or far from what blood holds.

    A ratio is as quantifiable as its numerator; below the limit of its denominator there is none.
    """
    count, parameter = value.count, settings.parameters[code]
    if count is None or count.value is None:
        return value
    if isinstance(parameter, Ratio):
        quantifiable = values[parameter.numerator].quantifiable
    else:
        lod, lloq = event_limits(settings, code)
        quantifiable = detection(events_above_background(count), lod_events=lod, lloq_events=lloq)
    flags = [flag for flag in value.flags if flag not in LIMIT_FLAGS.values()]
    flags += [LIMIT_FLAGS[quantifiable]] if quantifiable in LIMIT_FLAGS else []
    low, high = parameter.typical or TYPICAL[code]
    if is_implausible(count.value, typical=(low, high)):
        flags.append(f"IMPLAUSIBLE:{code} {count.value:.3g} ({low:g} to {high:g} is usual)")
    judged = valued(count, flags, value.tubes, value.versions)
    return replace(judged, quantifiable=quantifiable)
