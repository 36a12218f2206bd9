"""Gates placed by hand, as data: strictly read and written, chained, checked against what they rest on."""

from cytotrial.files.overrides.chain import (
    HEADER,
    joined,
    last_digest,
    read_overrides,
    write_overrides,
)
from cytotrial.files.overrides.rows import (
    ACTIONS,
    COLUMNS,
    REASONS,
    SHORTEST_REASON,
    Override,
    digest_of_text,
)
from cytotrial.files.overrides.standing import (
    Stale,
    Standing,
    applicable,
    basis_digest,
    blinded_id,
    deciding,
    entry_digests,
    unblinded,
    upstream_of,
)

__all__ = [
    "ACTIONS",
    "COLUMNS",
    "HEADER",
    "REASONS",
    "SHORTEST_REASON",
    "Override",
    "Stale",
    "Standing",
    "applicable",
    "basis_digest",
    "blinded_id",
    "deciding",
    "digest_of_text",
    "entry_digests",
    "joined",
    "last_digest",
    "read_overrides",
    "unblinded",
    "upstream_of",
    "write_overrides",
]
