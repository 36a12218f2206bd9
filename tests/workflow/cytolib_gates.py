"""A GatingSet of cytolib (R: flowWorkspace, CytoExploreR), dumped to JSON, as a template or as GatingML 2.0.

cytolib's logicle runs from 0 to M, GatingML's and the template's from 0 to 1, so every coordinate on a
logicle scale is divided by M. Channels without a transform are in detector units in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import yaml

POLYGON, BOOLEAN, ELLIPSE, RECTANGLE = 1, 3, 4, 5
"""cytolib's numbers for the kinds of gate."""

NAMESPACES = " ".join(
    f'xmlns:{prefix}="http://www.isac-net.org/std/Gating-ML/v2.0/{name}"'
    for prefix, name in (
        ("gating", "gating"),
        ("transforms", "transformations"),
        ("data-type", "datatypes"),
    )
)


def gating_template(gating_set: Mapping[str, Any], *, name: str) -> str:
    """A YAML template with the populations of one sample's gating."""
    scales = _scales(gating_set)
    template = {
        "version": "1.0.0",
        "name": name,
        "scales": {
            "linear": sorted(_channels(gating_set) - set(scales)),
            "channels": {channel: {"kind": "logicle", **scale} for channel, scale in scales.items()},
        },
        "populations": [_entry(node, gating_set["nodes"], scales) for node in gating_set["nodes"][1:]],
    }
    return yaml.safe_dump(template, sort_keys=False, allow_unicode=True)


def _scales(gating_set: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Logicle parameters of the transformed channels that gates look at."""
    used = _channels(gating_set)
    return {
        scale["name"]: {key.lower(): scale[key] for key in "TWMA"}
        for scale in gating_set["transforms"]
        if scale["name"] in used
    }


def _channels(gating_set: Mapping[str, Any]) -> set[str]:
    return {channel for node in gating_set["nodes"] for channel in node.get("params", ())}


def _entry(node: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], scales: Mapping[str, Any]) -> Any:
    parent = {"name": node["name"], "parent": nodes[node["parent"]]["name"]}
    if node["type"] == BOOLEAN:
        return {**parent, "gate": {"not": _complemented(node)}}
    return {**parent, "channels": node["params"], "gate": _gate(node, _tops(node, scales))}


def _complemented(node: Mapping[str, Any]) -> str:
    ((path, _, is_not),) = node["bool"]
    assert is_not, f"{node['path']}: only the complement of one population is known"
    return str(path[-1])


def _tops(node: Mapping[str, Any], scales: Mapping[str, Any]) -> list[float]:
    """What each axis is divided by: M of a logicle axis, 1 in detector units."""
    return [scales[channel]["m"] if channel in scales else 1.0 for channel in node["params"]]


def _gate(node: Mapping[str, Any], tops: Sequence[float]) -> dict[str, Any]:
    if node["type"] == ELLIPSE:
        ellipse = {"mean": _divided(node["mu"], tops), "covariance": _covariance(node, tops)}
        return {"ellipse": {**ellipse, "distance_square": node["dist"] ** 2}}
    points = [_divided(vertex, tops) for vertex in node["v"]]
    return {"polygon": points} if node["type"] == POLYGON else {"low": points[0], "high": points[1]}


def _divided(values: Sequence[float], tops: Sequence[float]) -> list[float]:
    return [value / top for value, top in zip(values, tops, strict=True)]


def _covariance(node: Mapping[str, Any], tops: Sequence[float]) -> list[list[float]]:
    return [
        [value / top for value in _divided(row, tops)] for row, top in zip(node["cov"], tops, strict=True)
    ]


def gatingml(gating_set: Mapping[str, Any]) -> str:
    """The same gates as GatingML 2.0; an id holds no blank, so `Live Cells` becomes `Live_Cells`."""
    scales = _scales(gating_set)
    body = [*_transforms(scales), *(_element(node, gating_set, scales) for node in gating_set["nodes"][1:])]
    return (
        f'<?xml version="1.0"?>\n<gating:Gating-ML {NAMESPACES}>\n'
        + "\n".join(body)
        + "\n</gating:Gating-ML>\n"
    )


def identifier(name: str) -> str:
    return name.replace(" ", "_").replace("+", "pos")


def _transforms(scales: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    for channel, scale in scales.items():
        numbers = " ".join(f'transforms:{key.upper()}="{value!r}"' for key, value in scale.items())
        yield (
            f'<transforms:transformation transforms:id="{_scale_id(channel)}">'
            f"<transforms:logicle {numbers}/></transforms:transformation>"
        )


def _scale_id(channel: str) -> str:
    return "logicle_" + identifier(channel)


def _element(node: Mapping[str, Any], gating_set: Mapping[str, Any], scales: Mapping[str, Any]) -> str:
    parent = gating_set["nodes"][node["parent"]]["name"]
    attributes = f'gating:id="{identifier(node["name"])}"'
    attributes += f' gating:parent_id="{identifier(parent)}"' if parent != "root" else ""
    if node["type"] == BOOLEAN:
        reference = f'<gating:gateReference gating:ref="{identifier(_complemented(node))}"/>'
        return f"<gating:BooleanGate {attributes}><gating:not>{reference}</gating:not></gating:BooleanGate>"
    gate = _gate(node, _tops(node, scales))
    kind, inside, limits = _shape(gate)
    axes = "".join(_axis(c, scales, limit) for c, limit in zip(node["params"], limits, strict=True))
    return f"<gating:{kind} {attributes}>{axes}{inside}</gating:{kind}>"


def _shape(gate: Mapping[str, Any]) -> tuple[str, str, list[str]]:
    """Kind of element, what it holds besides its axes, and the limits of its axes."""
    if "polygon" in gate:
        return "PolygonGate", "".join(_point("vertex", vertex) for vertex in gate["polygon"]), ["", ""]
    if "ellipse" in gate:
        ellipse = gate["ellipse"]
        rows = "".join(f"<gating:row>{_entries(row)}</gating:row>" for row in ellipse["covariance"])
        inside = (
            _point("mean", ellipse["mean"])
            + f"<gating:covarianceMatrix>{rows}</gating:covarianceMatrix>"
            + f'<gating:distanceSquare data-type:value="{ellipse["distance_square"]!r}"/>'
        )
        return "EllipsoidGate", inside, ["", ""]
    limits = [
        f' gating:min="{low!r}" gating:max="{high!r}"'
        for low, high in zip(gate["low"], gate["high"], strict=True)
    ]
    return "RectangleGate", "", limits


def _point(tag: str, values: Sequence[float]) -> str:
    coordinates = "".join(f'<gating:coordinate data-type:value="{value!r}"/>' for value in values)
    return f"<gating:{tag}>{coordinates}</gating:{tag}>"


def _entries(values: Sequence[float]) -> str:
    return "".join(f'<gating:entry data-type:value="{value!r}"/>' for value in values)


def _axis(channel: str, scales: Mapping[str, Any], limits: str) -> str:
    scale = f'gating:transformation-ref="{_scale_id(channel)}"' if channel in scales else ""
    matrix = "FCS" if channel in scales else "uncompensated"
    return (
        f'<gating:dimension gating:compensation-ref="{matrix}" {scale}{limits}>'
        f"<data-type:fcs-dimension data-type:name={quoteattr(channel)}/></gating:dimension>"
    )
