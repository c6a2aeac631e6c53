"""What a report is made of: sections with notes, tables, figures and drawn rows."""

from collections.abc import Sequence
from typing import Any

import attrs

from taglm_studies.report.drawn import Drawn
from taglm_studies.report.figures import Figure


@attrs.frozen
class Table:
    """A table; numbers are set to the right."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@attrs.define
class Section:
    """A part of a report, with its parts in the order in which they are shown."""

    title: str
    notes: list[str] = attrs.field(factory=list)
    tables: list[Table] = attrs.field(factory=list)
    figures: list[Figure] = attrs.field(factory=list)
    rows: list[Drawn] = attrs.field(factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.notes or self.tables or self.figures or self.rows)
