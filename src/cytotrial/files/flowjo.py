"""FlowJo 10 workspaces (.wsp), read through FlowKit after checks of our own.

A workspace names FCS files by address. Those addresses are never opened: the sample sheet says where the
files are.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cytotrial.errors import TemplateError
from cytotrial.files.flowjo_checks import (
    detectors_of,
    matrix_of,
    nodes_of,
    outline_problems,
    parameter_of,
    sample_name,
    sample_problems,
    samples_of,
)
from cytotrial.files.from_flowkit import Converter
from cytotrial.files.xml_strict import (
    DATA_TYPES,
    GATING,
    TRANSFORMS,
    TemplateWarning,
    content_version,
    escaped,
    local,
    parse,
    qualified,
    read_bytes,
    refuse,
)
from cytotrial.terms import GatingStrategy, Population, SpilloverMatrix

if TYPE_CHECKING:
    from flowkit import Workspace
    from lxml.etree import _Element

_SAVE_AGAIN = "Open it in FlowJo 10 and save it again."
_UNCOMPENSATED = "uncompensated:"
_COMPENSATED = "compensated:"
"""Put before the names of channels and the matrix's prefix, so that FlowKit takes the one for the other
only where it should."""


def read_workspace(path: Path) -> dict[str, GatingStrategy]:
    """The gating strategy of every sample of a FlowJo 10 workspace.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of sample name to GatingStrategy
        Populations are named by their path, `T cells/CD4/Treg`; each sample has its own gates, scales and
        spillover matrix (named as in the workspace, in `matrices`). A gate is compensated just if FlowJo
        drew it on a compensated channel; channels of files that were exported compensated (`FJComp-...`)
        are channels of the file and stay as they are. Gates on linear scales are in detector units.

    Raises
    ------
    TemplateError
        With every problem of the file: line, sample, element, what was found, what was expected.

    Warns
    -----
    TemplateWarning
        For a workspace of FlowJo 11 or later, which is not tested.
    """
    content = read_bytes(path)
    root = parse(path, content)
    _is_workspace(path, root)
    refuse(path, outline_problems(root))
    refuse(path, [problem for sample in samples_of(root) for problem in sample_problems(sample)])
    channels = {sample_name(sample): _file_channels(sample) for sample in samples_of(root)}
    for sample in samples_of(root):
        _say_what_is_compensated(sample)
    workspace, version = _workspace(path, root), content_version(content)
    return {
        name: GatingStrategy(name, version, path.name, *_gates(path, workspace, name, channels[name]))
        for name in channels
    }


def flowjo_counts(path: Path) -> dict[str, dict[str, int]]:
    """The counts that FlowJo stored in a workspace: sample name → population's path → events.

    FlowJo stores -1 for a population that it has not counted yet; such a one is left out.

    Raises
    ------
    TemplateError
        If the workspace is not well-formed.
    """
    root = parse(path, read_bytes(path))
    return {
        sample_name(sample): {
            population: int(count)
            for population, node in nodes_of(sample)
            if (count := node.get("count", "")).isdigit()
        }
        for sample in samples_of(root)
    }


def _workspace(path: Path, root: _Element) -> Workspace:
    from flowkit import Workspace  # noqa: PLC0415
    from lxml import etree  # noqa: PLC0415

    try:
        return Workspace(BytesIO(etree.tostring(root)), load_missing_file_data=True)
    except Exception as error:
        raise TemplateError(f"{path}: FlowKit cannot read it: {error}.", hint=_SAVE_AGAIN) from error


def _gates(
    path: Path, workspace: Workspace, sample: str, channels: Mapping[str, str]
) -> tuple[tuple[Population, ...], Mapping[str, SpilloverMatrix]]:
    """A sample's populations, and the spillover matrix they are compensated by."""

    def name_of(ancestors: tuple[str, ...], name: str) -> str:
        return "/".join((*ancestors[1:], name))

    def channel_of(name: str) -> str:
        plain = name.removeprefix(_UNCOMPENSATED)
        return channels.get(plain, plain)

    strategy = workspace.get_gating_strategy(sample)
    converter = Converter(strategy, sample, name_of, channel_of, plain_linear=True)
    try:
        return converter.populations(), MappingProxyType(converter.matrices())
    except TemplateError as error:
        raise TemplateError(f"{path}: sample {escaped(sample)}: {error}", hint=_SAVE_AGAIN) from None


def _is_workspace(path: Path, root: _Element) -> None:
    version = root.get("flowJoVersion", "")
    major = re.match(r"\d+", version)
    if local(root) != "Workspace" or major is None:
        raise TemplateError(
            f"{path}: the root element is {escaped(local(root))} with flowJoVersion {escaped(version)}; "
            "a workspace of FlowJo 10 was expected.",
            hint="Save the workspace as .wsp with FlowJo 10.",
        )
    if int(major[0]) < 10:
        raise TemplateError(
            f"{path}: flowJoVersion is {escaped(version)}; 10 was expected.", hint="Save it with FlowJo 10."
        )
    if int(major[0]) > 10:
        warnings.warn(
            f"{path}: flowJoVersion is {escaped(version)}; only FlowJo 10 is tested. Compare the counts.",
            TemplateWarning,
            stacklevel=3,
        )
    missing = {GATING, TRANSFORMS, DATA_TYPES} - set(root.nsmap.values())
    if missing or None in root.nsmap:
        odd = ", ".join(sorted(missing)) or "a default one"
        raise TemplateError(
            f"{path}: the xmlns declarations are not FlowJo's ({odd}).",
            hint="Save the workspace again with FlowJo 10.",
        )


def _file_channels(sample: _Element) -> dict[str, str]:
    """What FlowJo calls a channel (its $PnN with `_` for `/`) → its $PnN.

    FlowJo lists the compensated channels it makes after the file's own, which are $PAR in number.
    """
    keywords = {k.get("name", ""): k.get("value", "") for k in sample.findall("Keywords/Keyword")}
    own = re.fullmatch(r"\s*(\d+)\s*", keywords.get("$PAR", ""))
    numbered = {
        int(match[1]): value
        for name, value in keywords.items()
        if (match := re.fullmatch(r"\$P(\d+)N", name))
    }
    channels = [name for number, name in numbered.items() if own is None or number <= int(own[1])]
    return {channel.replace("/", "_"): channel for channel in channels} | {c: c for c in channels}


def _say_what_is_compensated(sample: _Element) -> None:
    """Rename what gates look at so that FlowKit, which goes by the detector alone, gets three things right.

    A channel is compensated just if its name carries the matrix's prefix and suffix; it is not if a
    channel of the file has that very name; and the two have a scale each.
    """
    matrix = matrix_of(sample)
    if matrix is None:
        return
    prefix, suffix = matrix.get("prefix", ""), matrix.get("suffix", "")
    detectors, in_file = set(detectors_of(sample)), _file_channels(sample)
    scales = {parameter_of(element): element for element in sample.findall("Transformations/*")}
    wanted: dict[str, _Element] = {}
    for element in sample.iter(qualified(DATA_TYPES, "fcs-dimension")):
        name = element.get(qualified(DATA_TYPES, "name"), "")
        compensated = name.startswith(prefix) and name.endswith(suffix) and name not in in_file
        detector = name.removeprefix(prefix).removesuffix(suffix)
        renamed = detector if compensated and detector in detectors else _UNCOMPENSATED + name
        element.set(qualified(DATA_TYPES, "name"), renamed)
        if name in scales:
            wanted[renamed] = scales[name]
    for channel, scale in wanted.items():
        _set_scale(sample, channel, scale)
    matrix.set("prefix", _COMPENSATED)
    matrix.set("suffix", "")


def _set_scale(sample: _Element, channel: str, like: _Element) -> None:
    """Give a channel the scale of another, in place of what it had."""
    transformations = sample.find("Transformations")
    assert transformations is not None
    for element in list(transformations):
        if parameter_of(element) == channel:
            transformations.remove(element)
    scale = copy.deepcopy(like)
    parameter = scale.find(qualified(DATA_TYPES, "parameter"))
    assert parameter is not None
    parameter.set(qualified(DATA_TYPES, "name"), channel)
    transformations.append(scale)
