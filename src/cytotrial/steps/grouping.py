"""Which tubes were stained with the same panel, told by the markers on their channels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cytotrial.steps.naming import plain_name, words_only
from cytotrial.terms import Channel

_NOT_STAINED = re.compile(
    r"([FSB]SC[AHW]?|FS|SS|FALS|TIME|HDR|WIDTH|EVENT|CELL_?LENGTH|CENTER|OFFSET|RESIDUAL|BEADDIST|SORT"
    r"|LIGHTLOSS|IMAGE|AF)(?![A-Z])|EVENT[_ ]?(LENGTH|#)",
    re.IGNORECASE,
)
_NO_LABEL = re.compile(
    r"\s*|[xX*]{3,}|FL\d+-?(Height|Area|Width|[AHW])|(Forward|Side) Scatter", re.IGNORECASE
)
_FLUOROCHROME = re.compile(
    r"FITC|PE|APC|ECD|PP|KR?O|PC[57](\.5)?|PE[- ]?(CY|CF|TEXAS|DAZZLE|FIRE|VIO|AF)\S*|CY[57](\.5)?|H7|7-?AAD"
    r"|APC[- ]?(CY|H7|R700|FIRE|VIO|AF)\S*|PER-?CP\S*|(BU?V|BB|AF|R[BY]|SB|QD|VB|EF|EFLUOR)-?\d{2,3}|ALEXA\S*"
    r"|FLUOR\S*|PACIFIC\S*|QDOT\S*|SPARK\S*|\d{2,3}[A-Z][A-Z]|[A-Z][A-Z]?\d{2,3}DI",
    re.IGNORECASE,
)

KINDS = (
    ("treg", ({"FOXP3"},), 60),
    ("th17", ({"IL17"}, {"IL17A"}, {"RORGT"}), 60),
    ("count", ({"BEADS", "CD3"}, {"TRUCOUNT"}, {"CD45", "CD3", "CD4"}), 8),
)
"""Kind of panel, the sets of markers any of which tells it, its most markers; the first that fits wins."""


@dataclass(frozen=True, slots=True)
class Stain:
    """A channel that carries a marker: its $PnN, its $PnS, and the marker that the label names."""

    name: str
    label: str
    marker: str


@dataclass(frozen=True, eq=False)
class PanelGroup:
    """Tubes with the same markers.

    markers : marker → the names ($PnS, or $PnN where labels do not tell channels apart) it goes by
    names : plain name of every marker, label and detector → marker
    channels : $PnN of all channels of the first tube
    labelled : whether the markers come from labels; otherwise they are detectors
    """

    name: str
    markers: Mapping[str, tuple[str, ...]]
    names: Mapping[str, str]
    channels: frozenset[str]
    labelled: bool

    def marker_of(self, name: str) -> str:
        """The marker that a label, detector or fluorochrome stands for in this panel; empty if for none."""
        return self.names.get(plain_name(name), "")


def stains_of(channels: Sequence[Channel]) -> tuple[Stain, ...]:
    """The channels that carry a marker; the detectors by their own names if no channel has a label."""
    stained = [channel for channel in channels if not _NOT_STAINED.match(channel.name)]
    labelled = [channel for channel in stained if _is_label(channel)]
    if not labelled:
        areas = [channel for channel in stained if channel.name.endswith("-A")] or stained
        return tuple(Stain(channel.name, "", channel.name) for channel in areas)
    chosen: dict[str, Stain] = {}
    for channel in labelled:
        stain = Stain(channel.name, channel.label, _marker(channel.label))
        if plain_name(stain.marker) not in chosen or channel.name.endswith("-A"):
            chosen[plain_name(stain.marker)] = stain
    return tuple(chosen.values())


def _is_label(channel: Channel) -> bool:
    return not _NO_LABEL.fullmatch(channel.label) and channel.label.strip() != channel.name.strip()


def _marker(label: str) -> str:
    """What a label names, without fluorochrome or mass tag.

    Examples
    --------
    >>> _marker("CD8 B PE"), _marker("BV605 - CD161"), _marker("CD103-FITC"), _marker("141Pr_IL-17A")
    ('CD8 B', 'CD161', 'CD103', 'IL-17A')
    """
    words = [_without_dye(word) for word in re.split(r"[\s_]+", label.strip()) if word not in {"", "-", "::"}]
    kept = [word for word in words if not _FLUOROCHROME.fullmatch(word)]
    return " ".join(kept)[:64] if kept else label.strip()[:64]


def _without_dye(word: str) -> str:
    """`CD103-FITC` as CD103; a hyphen that belongs to the marker stays."""
    marker, hyphen, dye = word.rpartition("-")
    return marker if hyphen and marker and _FLUOROCHROME.fullmatch(dye) else word


def signature(stains: Iterable[Stain]) -> frozenset[str]:
    """By what two tubes are of one panel: their markers, whatever the spelling."""
    return frozenset(plain_name(stain.marker) for stain in stains)


def group_tubes(
    tubes: Mapping[str, Sequence[Channel]], given: Mapping[str, str]
) -> tuple[dict[str, PanelGroup], dict[str, str]]:
    """The panels of some tubes, and the panel of each.

    Parameters
    ----------
    tubes : mapping
        Path → channels, of tubes that carry their whole panel.
    given : mapping
        Path → the panel's name, where it is known.

    Returns
    -------
    (panels, panel of each path)
        Panels are named by their markers where these tell their purpose, else by a word that
        only their files' names have, else by number.
    """
    paths: dict[str | frozenset[str], list[str]] = {}
    for path in sorted(tubes):
        paths.setdefault(given.get(path) or signature(stains_of(tubes[path])), []).append(path)
    panels: dict[str, PanelGroup] = {}
    panel_of: dict[str, str] = {}
    for number, (marks, members) in enumerate(paths.items(), start=1):
        others = [path for other in paths.values() if other is not members for path in other]
        told = marks if isinstance(marks, str) else kind_of(marks)
        base = told or _own_word(members, others) or f"panel{number}"
        name = base if base not in panels else f"{base}{number}"
        panels[name] = _panel(name, [tubes[path] for path in members])
        panel_of |= dict.fromkeys(members, name)
    return panels, panel_of


def kind_of(marks: frozenset[str]) -> str:
    """The purpose that a panel's markers tell, or nothing."""
    fitting = (kind for kind, sets, most in KINDS if len(marks) <= most and any(one <= marks for one in sets))
    return next(fitting, "")


def _own_word(members: Sequence[str], others: Sequence[str]) -> str:
    """A word that all file names of a panel have and no other file has."""
    if not others:
        return ""
    common = set.intersection(*(words_only(path) for path in members))
    foreign = set.union(*(words_only(path) for path in others))
    return min(common - foreign, default="")


def _panel(name: str, tubes: Sequence[Sequence[Channel]]) -> PanelGroup:
    markers: dict[str, list[str]] = {}
    spelling: dict[str, str] = {}
    plain: dict[str, str] = {}
    for channels in tubes:
        labels = Counter(channel.label for channel in channels)
        for stain in stains_of(channels):
            marker = spelling.setdefault(plain_name(stain.marker), stain.marker)
            shown = stain.label if stain.label and labels[stain.label] == 1 else stain.name
            names = markers.setdefault(marker, [])
            if shown not in names:
                names.append(shown)
            plain |= {plain_name(word): marker for word in (stain.marker, stain.label, stain.name) if word}
    first = tubes[0]
    return PanelGroup(
        name,
        {marker: tuple(names) for marker, names in markers.items()},
        plain,
        frozenset(channel.name for channel in first),
        labelled=any(_is_label(channel) for channel in first if not _NOT_STAINED.match(channel.name)),
    )


def partly_stained(tubes: Mapping[str, Sequence[Channel]]) -> dict[str, int]:
    """Tubes with no label, or with one, on the detectors of a tube with at least two more: path → labels."""
    labels = {
        path: {plain_name(stain.marker) for stain in stains_of(channels) if stain.label}
        for path, channels in tubes.items()
    }
    detectors = {path: frozenset(_stained(channel.name for channel in tubes[path])) for path in tubes}
    full: dict[frozenset[str], list[set[str]]] = {}
    for path, own in labels.items():
        full.setdefault(detectors[path], []).append(own)
    return {
        path: len(own)
        for path, own in labels.items()
        if len(own) <= 1
        and any(own <= other and len(other) >= len(own) + 2 for other in full[detectors[path]])
    }


def panel_of_control(path: str, channels: Sequence[Channel], panels: Mapping[str, PanelGroup]) -> str:
    """The panel that a control tube belongs to, if one and only one fits best; else nothing.

    A control has the detectors of its panel and no label that the panel does not have. Among
    several such panels the one that the path names is taken, then one with the same detectors
    and no more, then the one whose labels it shares.
    """
    detectors = _stained(channel.name for channel in channels)
    labels = {plain_name(stain.marker) for stain in stains_of(channels) if stain.label}
    scores: dict[str, tuple[bool, bool, int]] = {}
    for name, panel in panels.items():
        own = _stained(panel.channels)
        if own <= detectors and labels <= set(panel.names):
            scores[name] = (is_named_in(path, name), own == detectors, len(labels & set(panel.names)))
    best = max(scores.values(), default=None)
    winners = [name for name, score in scores.items() if score == best]
    return winners[0] if len(winners) == 1 else ""


def is_named_in(path: str, panel: str) -> bool:
    """Whether a word of the path begins with the panel's name.

    Examples
    --------
    >>> is_named_in("Run 2/Tregs_Pt 07_wk06 (2).fcs", "treg"), is_named_in("B01/S001_W00.fcs", "treg")
    (True, False)
    """
    return any(word.startswith(panel.lower()) for word in re.split(r"[^a-z0-9]+", path.lower()))


def _stained(names: Iterable[str]) -> set[str]:
    return {name for name in names if not _NOT_STAINED.match(name)}
