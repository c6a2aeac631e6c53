"""Demonstrations: training rows with their answers, in the prompt before the row that is asked.

Answers are text and not tags: all that stands before the function tag stays constant while it is
trained, so that each demonstration's span is computed once and cached like any other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch

from taglm_core.data.kept import kept_rows
from taglm_core.data.rowkeys import row_keys
from taglm_core.model.assembly import Rows
from taglm_core.model.backbone import Backbone
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import collate
from taglm_core.model.similarity import alike
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs.isolation import call_plugin
from taglm_core.specs.prompt import (
    FieldPart,
    FunctionPart,
    Part,
    Prompt,
    SpanPart,
    TagName,
    TagPart,
    TextPart,
)
from taglm_core.specs.reference import resolve

SIMILAR, RANDOM = "similar", "random"
MOST_ROWS = 2000
"""Training rows that demonstrations are chosen from, and that an artifact holds."""
_BLOCK_ROWS = 256
_TOKENS = 8192

Fields = Mapping[str, Sequence[Any]]


@attrs.frozen(kw_only=True)
class DemonstrationRecord:
    """The demonstrations of a task, as an artifact keeps them."""

    count: int
    """How many stand in a prompt."""
    choice: str
    """similar or random."""
    seed: int
    """Of a random choice."""
    fields: dict[str, list[Any]] = attrs.field(repr=False)
    """Field -> canonical values of the rows that they are chosen from."""
    answers: list[str] = attrs.field(repr=False)
    """The answer of each of these rows."""


def with_demonstrations(prompt: Prompt, count: int) -> Prompt:
    """Return a prompt that begins with rows of its own form, each followed by its answer.

    The fields of demonstration k are named `field#k`, its answer `#k`; the last one stands next to
    the row that is asked.
    """
    end = next(i for i, part in enumerate(prompt.parts) if isinstance(part, FunctionPart))
    before = prompt.parts[:end]
    shown: list[Part] = []
    for k in range(count):
        shown += [_renamed(part, k) for part in before]
        if not (isinstance(before[-1], TextPart) and before[-1].text[-1:].isspace()):
            shown.append(TextPart(" "))
        shown += [FieldPart(f"#{k}"), TextPart("\n")]
    return attrs.evolve(prompt, parts=(*shown, *prompt.parts))


def _renamed(part: Part, k: int) -> Part:
    """Return a part whose fields are those of a demonstration."""
    if isinstance(part, SpanPart):
        return SpanPart(_renamed_tag(part.tag, k), f"{part.field}#{k}")
    if isinstance(part, TagPart):
        return TagPart(_renamed_tag(part.tag, k))
    return FieldPart(f"{part.field}#{k}") if isinstance(part, FieldPart) else part


def _renamed_tag(tag: TagName, k: int) -> TagName:
    return TagName(f"{tag.name}#{k}", True) if tag.is_column else tag


class Demonstrations:
    """Chooses demonstrations for rows; never one with the same input as the row itself."""

    def __init__(self, record: DemonstrationRecord, task: ResolvedTask, backbone: Backbone) -> None:
        """Prepare nothing yet: what the rows are compared by is computed on first use.

        Args:
            record: The rows and how they are chosen.
            task: Whose fields they have.
            backbone: Gives states where a domain has no features.
        """
        self.record = record
        self.task = task
        self._backbone = backbone
        self._pool = {
            name: [tuple(v) if isinstance(v, list) else v for v in values]
            for name, values in record.fields.items()
        }
        self._keys = np.array(row_keys(task, self._pool))
        self._known: list[np.ndarray] | None = None

    def expanded(
        self,
        fields: Fields,
        errors: Sequence[str | None] | None = None,
        like: Fields | None = None,
    ) -> dict[str, Sequence[Any]]:
        """Return the fields of rows with those of their demonstrations.

        Args:
            fields: Canonical fields.
            errors: What is wrong with each row; nothing is chosen for one with an error.
            like: Fields by which they are chosen; None: `fields`.
        """
        compared = fields if like is None else like
        count = len(next(iter(fields.values()), ()))
        good = [i for i in range(count) if errors is None or errors[i] is None]
        chosen = np.zeros((count, self.record.count), dtype=np.int64)
        if good:
            own = {name: [compared[name][i] for i in good] for name in self.task.fields}
            chosen[good] = self.choose(own)
        made: dict[str, Sequence[Any]] = dict(fields)
        for k in range(self.record.count):
            for name, values in self._pool.items():
                made[f"{name}#{k}"] = [values[i] for i in chosen[:, k]]
            made[f"#{k}"] = [self.record.answers[i] for i in chosen[:, k]]
        return made

    def choose(self, fields: Fields) -> np.ndarray:
        """Return the demonstrations of valid rows, int64 `(rows, count)`, the nearest last."""
        keys = row_keys(self.task, fields)
        if self.record.choice == RANDOM:
            return np.array([self._drawn(key) for key in keys])
        found = []
        for start, similarities in self._similarities(fields):
            for row, values in enumerate(similarities):
                values[self._keys == keys[start + row]] = -np.inf
                nearest = np.argsort(-values, kind="stable")[: self.record.count]
                found.append(nearest[::-1])
        return np.array(found)

    def _drawn(self, key: str) -> np.ndarray:
        """Draw for a row; the same row gets the same ones in any batch."""
        rng = np.random.default_rng([self.record.seed, int(key, 16)])
        order = rng.permutation(len(self._keys))
        return np.asarray(order[self._keys[order] != key][: self.record.count])

    def _similarities(self, fields: Fields) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first row of a block and similarities float32 `(block, pool)`.

        The mean over fields of Tanimoto, `ab / (aa + bb - ab)`, of the features of a domain, and of
        whether a text field is the same. Where a domain has no features, the cosine of the mean
        states of the backbone on the row as text.
        """
        if self._known is None:
            self._known = list(self._compared_by(self._pool))
        own = list(self._compared_by(fields))
        count = len(next(iter(fields.values())))
        for start in range(0, count, _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            parts = [_alike(a[rows], b) for a, b in zip(own, self._known, strict=True)]
            yield start, np.asarray(np.mean(parts, axis=0, dtype=np.float32))

    def _compared_by(self, fields: Fields) -> Iterator[np.ndarray]:
        """Yield for each field what rows are compared by: features, states, or the words."""
        functions = {name: self._features(name) for name in self.task.span_fields}
        if not functions or None in functions.values():
            yield self._states(fields)
            return
        for name, function in functions.items():
            assert function is not None, "checked above"
            distinct = list(dict.fromkeys(fields[name]))
            values = np.asarray(function(distinct), dtype=np.float32)
            place = {row: number for number, row in enumerate(distinct)}
            yield np.nan_to_num(values)[[place[row] for row in fields[name]]]
        for name in (*self.task.prompt.text_fields, *self.task.prompt.tag_columns):
            yield np.array([str(value) for value in fields[name]], dtype=object)

    def _features(self, field: str) -> Callable[[Sequence[Any]], np.ndarray] | None:
        domain = self.task.domain_of_field(field)
        if domain is None or domain.spec.features is None:
            return None
        reference = domain.spec.features
        function = resolve(reference, f"domain {domain.name}, features")
        title = f"features of {field}"
        return lambda rows: call_plugin(lambda: kept_rows(reference, function, title, rows))

    @torch.no_grad()
    def _states(self, fields: Fields) -> np.ndarray:
        """Return mean states of the backbone on rows as text, float32 `(rows, hidden)`, length 1.

        No tag takes part, so that training changes none of them.
        """
        texts = [
            " ".join(v if isinstance(v, str) else " ".join(map(str, v)) for v in row)
            for row in zip(*(fields[name] for name in self.task.fields), strict=True)
        ]
        tokenizer, most = self._backbone.tokenizer, self._backbone.max_positions
        ids = [tokenizer(text or " ", add_special_tokens=False)["input_ids"] for text in texts]
        streams = [np.asarray(row[:most], dtype=np.int32) for row in ids]
        lengths = np.array([len(row) for row in streams], dtype=np.int64)
        spans = [np.zeros(len(row), dtype=np.int8) for row in streams]
        rows = Rows(streams, spans, lengths, np.maximum(lengths - 1, 0), [None] * len(streams))
        found = np.zeros((len(streams), self._backbone.hidden_size), dtype=np.float32)
        for chosen in batches_by_tokens(lengths, _TOKENS):
            batch = collate(rows, chosen, False, self._backbone.device)
            states = self._backbone.hidden_states(
                self._backbone.embed(batch.ids),
                batch.mask(self._backbone.dtype),
                batch.position_ids,
            )
            is_real = batch.is_real.unsqueeze(-1)  # (batch, seq, 1)
            mean = (states.float() * is_real).sum(dim=1) / is_real.sum(dim=1).clamp_min(1)
            found[chosen] = mean.cpu().numpy()
        return found


def _alike(rows: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Return similarities float32 `(rows, pool)`, rounded so that batches decide no order."""
    if rows.dtype == object:
        return np.asarray(rows[:, None] == pool[None, :], dtype=np.float32)
    is_counts = pool.min(initial=0.0) >= 0  # not by the rows, which others in a batch would change
    own, others = (np.square(values).sum(axis=1) for values in (rows, pool))
    found = alike(rows @ pool.T, own, others, bool(is_counts))
    return np.asarray(np.round(found, 4), dtype=np.float32)
