"""Where the spans of a large job are computed: once in the cluster, once a node, or a worker."""

from collections.abc import Hashable, Iterator, Mapping, Sequence

import attrs

from taglm_core.data.table import Table
from taglm_core.errors import counted
from taglm_core.inference.sharedspans import SpanFacts
from taglm_core.model.prefix_cache import shown
from taglm_core.progress import shown_seconds

CLUSTER, NODE, WORKER = "cluster", "node", "worker"
"""Each span is computed once; once on each node; by each worker that needs it."""

_MOST_DISTINCT = 1_000_000
"""Distinct values of a field from which on they are no longer counted."""

Value = tuple[Hashable, ...]
"""Cells of the columns of one span."""


class Recurring:
    """Counts in how many parts each value of a field occurs, as a table goes by."""

    def __init__(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Begin to count.

        Args:
            columns: Field -> the columns that hold it.
        """
        self._columns = columns
        self._seen: dict[str, dict[Value, list[int]]] = {field: {} for field in columns}
        self.num_rows = 0

    def add(self, table: Table) -> None:
        """Count the rows of a chunk."""
        for field, seen in list(self._seen.items()):
            for number, value in enumerate(values_of(table, self._columns[field]), self.num_rows):
                facts = seen.setdefault(value, [0, number, number])
                facts[0] += 1
                facts[2] = number
            if len(seen) > _MOST_DISTINCT:
                del self._seen[field]
        self.num_rows += table.num_rows

    def in_parts(self, part_rows: int) -> dict[str, dict[Value, int]]:
        """Return field -> value -> parts that hold it at most, of values in two parts or more."""
        found: dict[str, dict[Value, int]] = {}
        for field, seen in self._seen.items():
            parts = {
                value: min(count, last // part_rows - first // part_rows + 1)
                for value, (count, first, last) in seen.items()
            }
            found[field] = {value: number for value, number in parts.items() if number > 1}
        return found


def values_of(table: Table, columns: Sequence[str]) -> Iterator[Value]:
    """Return the cells of some columns, row by row."""
    return zip(*(map(_hashable, table.columns[name]) for name in columns), strict=True)


def _hashable(cell: object) -> Hashable:
    return tuple(cell) if isinstance(cell, list) else cell


@attrs.frozen(kw_only=True)
class Rates:
    """Bytes a second at which a worker gets what was kept."""

    reading: float
    """On its own node."""
    sending: float
    """From another node."""


@attrs.frozen(kw_only=True)
class SpanPlan:
    """Where spans are computed, and why."""

    where: str
    """CLUSTER, NODE or WORKER."""
    values: Mapping[str, Sequence[Value]]
    """Field -> values whose spans are shared, those of the most parts first."""
    reason: str
    """In one sentence."""


def plan_spans(
    facts: SpanFacts,
    recurring: Mapping[str, Mapping[Value, int]],
    num_nodes: int,
    num_workers: int,
    rates: Rates,
    limit_bytes: int,
) -> SpanPlan:
    """Decide where spans are computed.

    Args:
        facts: What a span costs.
        recurring: Field -> value -> number of parts, as `Recurring.in_parts` gives it.
        num_nodes: Machines.
        num_workers: On all of them; each keeps what its next part needs too.
        rates: Of shared memory and of the network.
        limit_bytes: Bytes of each node that shared spans may take.
    """
    if facts.reason:
        return _by_each_worker(facts.reason)
    uses = [
        (parts, field, value) for field, held in recurring.items() for value, parts in held.items()
    ]
    if not uses:
        return _by_each_worker("no value of a span recurs in several parts")
    uses.sort(key=lambda use: -use[0])
    chosen, tokens, again = [], 0.0, 0.0
    for parts, field, value in uses:
        size = facts.tokens.get(field, 0.0)
        if (tokens + size) * facts.token_bytes > limit_bytes:
            break
        chosen.append((field, value))
        tokens, again = tokens + size, again + min(parts, num_workers) * size
    if not chosen:
        return _by_each_worker(f"not one span fits into {shown(limit_bytes)} of shared memory")
    costs = _Costs(facts, tokens, again, num_nodes, rates)
    if costs.reading >= costs.again - costs.once:
        return _by_each_worker(
            f"reading them ({shown(costs.bytes)}, {shown_time(costs.reading)} at "
            f"{shown(rates.reading)} a second) takes longer than computing them again "
            f"({shown_time(costs.again - costs.once)})"
        )
    values: dict[str, list[Value]] = {}
    for field, value in chosen:
        values.setdefault(field, []).append(value)
    where = NODE if num_nodes > 1 and costs.sending > costs.once else CLUSTER
    return SpanPlan(
        where=where, values=values, reason=costs.sentence(where, len(chosen), len(uses))
    )


@attrs.frozen
class _Costs:
    """Seconds of one worker, of spans that recur."""

    facts: SpanFacts
    tokens: float
    """Of the distinct spans."""
    tokens_again: float
    """Of the spans of each worker."""
    num_nodes: int
    rates: Rates

    @property
    def bytes(self) -> float:
        """What the distinct spans take."""
        return self.tokens * self.facts.token_bytes

    @property
    def once(self) -> float:
        """Computing each distinct span."""
        return self.tokens * self.facts.token_seconds

    @property
    def again(self) -> float:
        """Computing in each worker the spans that it needs."""
        return self.tokens_again * self.facts.token_seconds

    @property
    def reading(self) -> float:
        """Reading them where they are kept."""
        return self.tokens_again * self.facts.token_bytes / self.rates.reading

    @property
    def sending(self) -> float:
        """To one further node."""
        return self.bytes / self.rates.sending

    def sentence(self, where: str, number: int, known: int) -> str:
        """Return the plan and its reason."""
        text = (
            f"spans: {counted(number, 'span')} of several parts ({self.tokens:,.0f} tokens, "
            f"{shown(self.bytes)}) "
        )
        text += "is" if number == 1 else "are each"
        if self.num_nodes == 1:
            text += (
                f" computed once, {shown_time(self.once)}, and read from shared memory; "
                f"by each worker that needs them: {shown_time(self.again)}"
            )
        else:
            where_words = "once in the cluster" if where == CLUSTER else "once on each node"
            sign = "less" if where == CLUSTER else "more"
            text += (
                f" computed {where_words}: sending {shown(self.bytes)} to a node takes "
                f"{shown_time(self.sending)} at {shown(self.rates.sending)} a second, {sign} than "
                f"computing there, {shown_time(self.once)}; by each "
                f"worker that needs them: {shown_time(self.again)}"
            )
        if known > number:
            text += f". {counted(known - number, 'more span')} would not fit into shared memory"
        return text


def shown_time(seconds: float) -> str:
    """Return a duration, short ones with two digits or more."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.2g} s" if seconds < 10 else shown_seconds(seconds)


def _by_each_worker(reason: str) -> SpanPlan:
    return SpanPlan(
        where=WORKER, values={}, reason=f"spans: computed by each worker that needs them: {reason}"
    )
