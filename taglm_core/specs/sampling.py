"""What a domain's `sample_metrics` get."""

from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True, eq=False)
class SampleData:
    """Rows that were drawn from a domain, and rows to compare them with."""

    rows: Sequence[str]
    """As drawn."""
    canonical: Sequence[str | None]
    """Their canonical forms, None where a row is not valid."""
    known: Sequence[str] | None
    """Canonical rows that are not novel, such as the tag's corpus; None: not available."""
    reference: Sequence[str] | None
    """Canonical rows that the drawn ones are compared with; None: none were given."""
    source: str = ""
    """Where the reference rows came from."""
