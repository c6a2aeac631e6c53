"""A task on a tagged model: assembler, head and target scaling, from fields to predictions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.encoders import TextEncoder
from taglm_core.model.assembly import Assembler, Rows, join_rows
from taglm_core.model.batching import batches_by_tokens
from taglm_core.model.collate import collate
from taglm_core.model.demonstrations import Demonstrations, with_demonstrations
from taglm_core.model.ensemble import EnsembleMember
from taglm_core.model.features import FeatureReader
from taglm_core.model.generation import write
from taglm_core.model.intervals import Intervals
from taglm_core.model.lengths import check_lengths
from taglm_core.model.prefix_cache import PrefixCache, screening_batches
from taglm_core.model.prepared import PreparedRows
from taglm_core.model.similarity import SimilarityReader
from taglm_core.model.tagged import LAST, Pooling, TaggedModel
from taglm_core.model.targets import Scaling, predictions
from taglm_core.plugins.resolved import ResolvedTask
from taglm_core.specs import Decoding, Encoder, Text
from taglm_core.specs.encoding import first_errors


@attrs.define(kw_only=True)
class TaskModel:
    """What turns rows of fields into predictions of one task."""

    task: ResolvedTask
    """The task."""
    model: TaggedModel
    """The backbone with the tags."""
    assembler: Assembler
    """Turns rows of fields into ids."""
    is_isolated: bool
    """Whether a domain span attends only to itself."""
    head: nn.Module | None
    """None for text, which the LM's own head writes."""
    scaling: Scaling
    """From the head's outputs to the user's units."""
    classes: tuple[str, ...] = ()
    """Class names in the order of the head's outputs; (): the task has no classes."""
    decoding: Decoding = attrs.field(factory=Decoding)
    """How a text task writes."""
    features: FeatureReader | None = None
    """What the head reads beside the states; None: nothing."""
    others: tuple[EnsembleMember, ...] = ()
    """Further members of an ensemble, whose predictions are averaged with those of this one."""
    similarity: SimilarityReader | None = None
    """What compares rows with the training rows; None: nothing."""
    intervals: Intervals | None = None
    """Prediction intervals of numbers; None: it has none."""
    pooling: Pooling = LAST
    """States of the function tag that the head reads."""
    prefix_cache: PrefixCache | None = None
    """What is kept between rows; None: every row is run whole."""
    demonstrations: Demonstrations | None = None
    """Training rows that stand in the prompt of each row; None: none do."""

    @property
    def num_demonstrations(self) -> int:
        """Return how many training rows stand in a prompt."""
        return 0 if self.demonstrations is None else self.demonstrations.record.count

    @property
    def width(self) -> int:
        """Return how many numbers the head reads for a row."""
        return self.pooling.num_states * self.model.backbone.hidden_size

    def assemble(
        self,
        fields: Mapping[str, Sequence[Any]],
        with_output: bool = False,
        errors: Sequence[str | None] | None = None,
        like: Mapping[str, Sequence[Any]] | None = None,
    ) -> Rows:
        """Assemble rows; one that is too long for the backbone carries that as its error.

        Args:
            fields: Canonical fields.
            with_output: See `Assembler.assemble`.
            errors: What is already known to be wrong with each row; None: nothing.
            like: Fields by which demonstrations are chosen; None: `fields`.
        """
        if self.demonstrations is not None:
            fields = self.demonstrations.expanded(fields, errors, like)
        rows = self.assembler.assemble(fields, with_output)
        limits = check_lengths(rows.lengths.tolist(), self.model.backbone, self.is_isolated)
        return attrs.evolve(rows, errors=first_errors(rows.errors, limits))

    def outputs(self, states: Tensor) -> Tensor:
        """Return standardized outputs or logits `(batch, num_outputs)` of states, then features."""
        assert self.head is not None, "a text task has no head"
        raw: Tensor = self.head(states.float())
        return raw + self.scaling.offset.to(raw.device)

    def finish(self, outputs: Tensor) -> np.ndarray:
        """Return the predictions that outputs mean, as `taglm_core.model.targets.predictions`."""
        return predictions(self.task.spec.target, self.scaling, outputs)

    @torch.no_grad()
    def predict(
        self,
        rows: Rows,
        max_tokens: int = 8192,
        on_progress: Callable[[int], None] | None = None,
        features: Tensor | None = None,
    ) -> Any:
        """Return predictions of rows without errors: an array as `finish` gives, or texts.

        Args:
            rows: Assembled.
            max_tokens: Token budget of a batch.
            on_progress: Called with the number of rows done.
            features: `(rows, features)` of a head that reads some.
        """
        target = self.task.spec.target
        if isinstance(target, Text):
            return self.write(rows, target.max_new_tokens, max_tokens, on_progress)
        values = self._predict_numbers(rows, max_tokens, on_progress, features)
        first = self.member()
        for other in self.others:
            self.become(other)
            try:
                values = values + self._predict_numbers(rows, max_tokens, None, features)
            finally:
                self.become(first)
        return values / (1 + len(self.others))

    def _predict_numbers(
        self,
        rows: Rows,
        max_tokens: int,
        on_progress: Callable[[int], None] | None,
        features: Tensor | None,
    ) -> np.ndarray:
        return self.values(self.states(rows, max_tokens, on_progress), features)

    @torch.no_grad()
    def values(self, states: Tensor, features: Tensor | None) -> np.ndarray:
        """Return the predictions that states mean, as `finish` gives them.

        Args:
            states: fp32 `(rows, width)`.
            features: `(rows, features)` of a head that reads some.
        """
        if features is not None and self.features is not None:
            states = torch.cat([states, features], dim=1)
        return self.finish(self.outputs(states.to(self.model.backbone.device)))

    def member(self) -> EnsembleMember:
        """Return a copy of the function tag, with the head, scaling and features of now."""
        assert self.head is not None, "a text task has no head"
        return EnsembleMember(
            tag=self.model.tags[self.task.function_tag].detach().clone(),
            inner={
                place: value.detach().clone()
                for place, value in self.model.inner.get(self.task.function_tag, {}).items()
            },
            head=self.head,
            scaling=self.scaling,
            features=self.features,
        )

    @torch.no_grad()
    def become(self, member: EnsembleMember) -> None:
        """Take the function tag, head, scaling and features of a member of an ensemble."""
        self.model.set_tag(self.task.function_tag, member.tag, member.inner)
        self.scaling = member.scaling
        self.set_head(member.head, member.features)

    def set_head(self, head: nn.Module, features: FeatureReader | None = None) -> None:
        """Take a head, on the device of the backbone, and what it reads beside the states."""
        self.head, self.features = head.to(self.model.backbone.device), features
        self.model.heads[self.task.name] = self.head

    @property
    def reader(self) -> FeatureReader | None:
        """Return what reads the features of any member; all that read some read the same."""
        readers = (self.features, *(other.features for other in self.others))
        return next((reader for reader in readers if reader is not None), None)

    def predict_fields(
        self,
        fields: Mapping[str, Sequence[Any]],
        max_tokens: int = 8192,
        on_progress: Callable[[int], None] | None = None,
        errors: Sequence[str | None] | None = None,
    ) -> tuple[Any, list[str | None]]:
        """Assemble and predict rows; of a symmetric task the mean over both orders.

        Args:
            fields: Canonical fields.
            max_tokens: Token budget of a batch.
            on_progress: Called with the number of rows done.
            errors: What is already known to be wrong with each row; None: nothing.

        Returns:
            Predictions of the rows without an error, in order, as `predict` gives them (None when
            there is none), and one error or None a row.
        """
        prepared = self.prepare(fields, errors)
        if prepared.rows is None:
            return None, prepared.errors
        share = prepared.num_orders
        advance = on_progress and (lambda done: on_progress(done // share))
        values = self.predict(prepared.rows, max_tokens, advance, prepared.features)
        return prepared.merged(values), prepared.errors

    def prepare(
        self, fields: Mapping[str, Sequence[Any]], errors: Sequence[str | None] | None = None
    ) -> "PreparedRows":
        """Assemble rows with their features, in each order of a symmetric task.

        Args:
            fields: Canonical fields.
            errors: What is already known to be wrong with each row; None: nothing.
        """
        rows, good, found = self._in_orders(fields, errors)
        features = None if rows is None else self._features_of(fields, good)
        return PreparedRows(rows, good, found, features)

    def _features_of(self, fields: Mapping[str, Sequence[Any]], good: list[int]) -> Tensor | None:
        """Return the features of good rows, those of each order one after the other."""
        if (reader := self.reader) is None:
            return None
        found = [
            reader.read({name: [values[i] for i in good] for name, values in order.items()})
            for order in self.task.orders(fields)
        ]
        return torch.cat(found)

    def embed_fields(
        self,
        fields: Mapping[str, Sequence[Any]],
        max_tokens: int = 8192,
        on_progress: Callable[[int], None] | None = None,
        errors: Sequence[str | None] | None = None,
    ) -> tuple[np.ndarray, list[str | None]]:
        """Return what the head reads; of a symmetric task the mean over both orders.

        Args:
            fields: Canonical fields.
            max_tokens: Token budget of a batch.
            on_progress: Called with the number of rows done.
            errors: What is already known to be wrong with each row; None: nothing.

        Returns:
            float32 `(rows, width)`, NaN in a row with an error, and one error or None a row.
        """
        rows, good, found = self._in_orders(fields, errors)
        states = np.full((len(found), self.width), np.nan, dtype=np.float32)
        if rows is not None:
            share = len(rows) // len(good)
            advance = on_progress and (lambda done: on_progress(done // share))
            read = self.states(rows, max_tokens, advance).numpy()
            states[good] = read.reshape(share, len(good), -1).mean(axis=0)
        return states, found

    def _in_orders(
        self, fields: Mapping[str, Sequence[Any]], errors: Sequence[str | None] | None
    ) -> tuple[Rows | None, list[int], list[str | None]]:
        """Assemble the good rows, once for each order of a symmetric task, one after the other.

        Returns:
            The rows (None when no row is good), the indices of the good ones, and one error or
            None a row.
        """
        orders = [self.assemble(order, errors=errors) for order in self.task.orders(fields)]
        held = [errors] if errors is not None else []
        if (reader := self.reader) is not None:
            held.append(reader.errors(fields))
        found = first_errors(*held, *(rows.errors for rows in orders))
        good = [i for i, error in enumerate(found) if error is None]
        return (join_rows([rows.select(good) for rows in orders]) if good else None), good, found

    @torch.no_grad()
    def states(
        self,
        rows: Rows,
        max_tokens: int = 8192,
        on_progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Read the function tag of every row, on cached segments where that saves work.

        Returns:
            fp32 `(rows, width)` in the order of the rows; a row with an error reads zero.
        """
        found = torch.zeros(len(rows), self.width)
        good = rows.good
        done = 0
        for batch, read in self._reads(rows.select(good), max_tokens):
            chosen = good[batch]
            found[torch.from_numpy(chosen)] = read.float().cpu()
            done += len(chosen)
            if on_progress is not None:
                on_progress(done)
        return found

    def _reads(self, rows: Rows, max_tokens: int) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Yield indices of rows and what the head reads for them, `(batch, width)`."""
        cached = None
        if self.prefix_cache is not None and len(rows):
            cached = self.prefix_cache.screen(rows, self.is_isolated, max_tokens)
        if cached is None:
            for batch in batches_by_tokens(rows.lengths, max_tokens):
                device = self.model.backbone.device
                inputs = collate(rows, batch, self.is_isolated, device)
                yield batch, self.model.read(inputs, self.pooling)
            return
        cached.prepare()
        for batch in screening_batches(cached, max_tokens):
            states, suffixes = cached.states(batch)
            yield batch, self.pooling.of_states(states, suffixes.read)

    @torch.no_grad()
    def write(
        self,
        rows: Rows,
        max_new_tokens: int,
        max_tokens: int = 8192,
        on_progress: Callable[[int], None] | None = None,
        watch: Callable[[int, Callable[[], str]], bool] | None = None,
    ) -> list[str]:
        """Write the output text of every row, as `decoding` says.

        A row is written the same alone and in a batch.

        Args:
            rows: Rows without outputs; one with an error writes nothing.
            max_new_tokens: Longest output in tokens unless `decoding` has its own.
            max_tokens: Token budget of a batch, outputs included.
            on_progress: Called with the number of rows done.
            watch: Called at each token with the index of a row and what gives its text so far;
                False ends the row there. Beam search does not call it.
        """
        decode = self.assembler.text.decode
        limit = self.decoding.max_new_tokens or max_new_tokens
        prefix_length = self.assembler.prefix_length
        written = write(
            self.model,
            rows,
            self.decoding,
            limit,
            prefix_length,
            max_tokens,
            on_progress,
            watch and (lambda row, ids: watch(row, lambda: decode(ids))),
        )
        return [decode(ids) for ids in written]


def build_assembler(
    task: ResolvedTask,
    model: TaggedModel,
    encoders: Mapping[str, Encoder],
    is_isolated: bool,
    domain_of: Mapping[str, str],
    tag_of: Mapping[str, str],
    num_demonstrations: int = 0,
) -> Assembler:
    """Build a task's assembler on a model that holds its tags and tables.

    Args:
        task: The task.
        model: Holds every tag that `tag_of` gives, the function tag and the symbol tables.
        encoders: Domain -> symbol encoder.
        is_isolated: Attention.
        domain_of: Tag as written -> domain.
        tag_of: Tag as written -> key of the tag in the model.
        num_demonstrations: How many stand before each row.
    """
    backbone: Any = model.backbone
    return Assembler(
        layout=model.layout,
        prompt=with_demonstrations(task.prompt, num_demonstrations),
        text=TextEncoder(backbone.tokenizer),
        encoders=encoders,
        domain_of=domain_of,
        tag_of=tag_of,
        function_tag=task.function_tag,
        bos_ids=backbone.bos_ids,
        is_isolated=is_isolated,
        end_id=backbone.end_id if task.prompt.output is not None else 0,
    )


def written_tags(task: ResolvedTask, columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the distinct domain tags of a task as written, those in columns included."""
    names: list[str] = []
    for tag in task.prompt.domain_tags:
        names += list(map(str, columns[tag.name])) if tag.is_column else [tag.name]
    return list(dict.fromkeys(names))
