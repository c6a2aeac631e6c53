"""Predictors of several tasks on one loaded backbone, whose rows run in one batch.

Artifacts whose tags and symbol tables agree share one tagged model and one prefix cache; the others
get a tagged model of their own on the same backbone.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from taglm_core.data.memory import as_output, as_table, check_output
from taglm_core.errors import ConfigError
from taglm_core.inference.loading import (
    backbone_of,
    check_plugins,
    install_inputs,
    predictor_of,
    task_model_on,
)
from taglm_core.inference.predicted import Predicted, ReadRows, Unlike
from taglm_core.inference.predictor import Predictor
from taglm_core.model.assembly import join_rows
from taglm_core.model.prefix_cache import PrefixCache, cache_setting
from taglm_core.model.prepared import PreparedRows
from taglm_core.model.tagged import TaggedModel
from taglm_core.model.taskmodel import TaskModel
from taglm_core.plugins import Registry
from taglm_core.store.artifact import Artifact, check_backbone
from taglm_core.store.fingerprint import fingerprint_of
from taglm_core.store.tagstore import TagStore


@attrs.frozen(eq=False, repr=False)
class Predictors(Mapping[str, Predictor]):
    """Predictors by name, on one backbone.

    `taglm.load_together` gives it. Cached segments stay from call to call: one that is seen for the
    second time is kept until the memory limit is reached. One thread at a time may predict.
    """

    predictors: Mapping[str, Predictor]
    """Name -> predictor."""
    caches: Sequence[PrefixCache]
    """The prefix caches, one for each group of predictors that share a tagged model."""

    def __getitem__(self, name: str) -> Predictor:
        return self.predictors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.predictors)

    def __len__(self) -> int:
        return len(self.predictors)

    def __repr__(self) -> str:
        return f"Predictors({', '.join(self)})"

    @property
    def cache_bytes(self) -> int:
        """Bytes that cached segments take."""
        return sum(cache.store.num_bytes for cache in self.caches)

    @property
    def cache_limit_bytes(self) -> int:
        """Most bytes that cached segments may take."""
        return sum(cache.store.limit_bytes for cache in self.caches)

    def predict(
        self,
        data: Mapping[str, Any],
        output: str = "pandas",
        *,
        fix: bool = False,
        similarity: bool = True,
        interval: float | None = None,
    ) -> dict[str, Any]:
        """Predict rows of several tasks, in one batch where their prompts allow it.

        Args:
            data: Name of a predictor -> its rows, in a form that `Predictor.predict` takes.
            output: "pandas", "dict" or "arrow", as for `Predictor.predict`.
            fix: True: rows are first standardized by the rules of their domains.
            similarity: False: rows are not compared with the training rows, which saves time.
            interval: As for `Predictor.predict`.

        Returns:
            Name -> predictions with their similarity to the training rows and a column `error`, in
            the order of the rows.

        Raises:
            ConfigError: for another form of output, or when a predictor has no such interval.
            DataError: when a column is missing.

        Example:
            predictors.predict({"QED": ["CCO"], "LogP": ["CCO", "c1ccccc1"]})
        """
        if output == "numpy":
            raise ConfigError(
                "output='numpy' cannot hold several tasks. Use output='dict' or output='pandas'."
            )
        check_output(output)
        indices, parts = [], []
        if interval is not None:
            for name in data:
                self[name].check_interval(interval)
        for name, rows in data.items():
            read, index = self.read(name, rows, fix)
            indices.append(index)
            parts.append((name, read))
        made = {}
        found = zip(parts, self.predict_rows(parts), indices, strict=True)
        for (name, rows), predicted, index in found:
            similar = self[name].similar(rows, predicted.errors) if similarity else {}
            unlike = Unlike(self[name].similarity_limits)
            unlike.add(similar, range(1, len(predicted.errors) + 1)).warn()
            own = {**predicted.columns, **self[name].interval(predicted, interval)}
            columns = {**own, **similar, "error": predicted.errors}
            made[name] = as_output(columns, output, index)
        return made

    def read(self, name: str, data: Any, fix: bool = False) -> tuple[ReadRows, Any]:
        """Read rows for a predictor; also return the index of a pandas object.

        Args:
            name: Of the predictor.
            data: As for `Predictor.predict`.
            fix: As for `predict`.

        Raises:
            DataError: when a column is missing, or most values look like another kind of data.
        """
        predictor = self[name]
        given = as_table(data, predictor.fields, f"task {predictor.task.name}")
        return predictor.read(given.table, {}, fix), given.index

    def predict_rows(self, parts: Sequence[tuple[str, ReadRows]]) -> list[Predicted]:
        """Predict rows that have been read.

        The states of all tasks that share a tagged model, an attention and a number of spans are
        read in one pass. Ensembles and text tasks run alone.

        Args:
            parts: Name of a predictor and rows, any number of times.
        """
        results: dict[int, Predicted] = {}
        joint: dict[Hashable, list[tuple[int, PreparedRows]]] = {}
        for place, (name, rows) in enumerate(parts):
            predictor = self[name]
            kind = _kind(predictor.task_model)
            if kind is None or not rows.errors:
                results[place] = predictor.predict_rows(rows)
                continue
            prepared = predictor.task_model.prepare(rows.fields, rows.errors)
            if prepared.rows is None:
                results[place] = predictor.predicted(None, prepared.errors, rows.fixed)
            else:
                joint.setdefault(kind, []).append((place, prepared))
        for members in joint.values():
            owners = [self[parts[place][0]] for place, _ in members]
            values = _joint_values(owners, [prepared for _, prepared in members])
            for (place, prepared), owner, own in zip(members, owners, values, strict=True):
                fixed = parts[place][1].fixed
                results[place] = owner.predicted(own, prepared.errors, fixed)
        return [results[place] for place in range(len(parts))]


def _kind(task_model: TaskModel) -> Hashable | None:
    """Return what tasks must have in common for one pass; None: the task runs alone.

    Rows divide into segments by their spans, so that joined rows need equally many.
    """
    if task_model.head is None or task_model.others:
        return None
    spans = len(task_model.assembler.prompt.spans) if task_model.is_isolated else 1
    return (id(task_model.model), task_model.is_isolated, task_model.pooling, max(1, spans))


def _joint_values(owners: Sequence[Predictor], members: Sequence[PreparedRows]) -> list[Any]:
    """Return the predictions of each member, whose states are read in one pass."""
    rows = [prepared.rows for prepared in members if prepared.rows is not None]
    max_tokens = min(owner.max_tokens for owner in owners)
    states = owners[0].task_model.states(join_rows(rows), max_tokens)
    values, begin = [], 0
    for owner, prepared, own in zip(owners, members, rows, strict=True):
        read = states[begin : begin + len(own)]
        values.append(prepared.merged(owner.task_model.values(read, prepared.features)))
        begin += len(own)
    return values


def load_predictors(
    artifacts: Mapping[str, Artifact],
    registry: Registry,
    backbone: str | None = None,
    device: str = "auto",
    cache: str = "auto",
    precision: str | None = None,
    on_doubt: str = "raise",
) -> Predictors:
    """Put several task artifacts onto one backbone, which is loaded once.

    Args:
        artifacts: Name -> task artifact, at least one.
        registry: Must provide the domains that the artifacts use.
        backbone: As for `load_predictor`.
        device: As for `load_predictor`.
        cache: Memory limit for the cached segments of all of them; see `load_predictor`.
        precision: fp32 or bf16; None: the one in which they were trained.
        on_doubt: As for `load_predictor`.

    Raises:
        ConfigError: when they were trained in different precisions and none is chosen.
        CheckpointError: when one of them was trained on another backbone.
    """
    setting = cache_setting(cache)
    for artifact in artifacts.values():
        check_plugins(artifact, registry)
    _check_precision(artifacts, precision)
    first = next(iter(artifacts.values()))
    loaded = backbone_of(first, registry, backbone, device, precision)
    for artifact in artifacts.values():
        check_backbone(artifact, loaded.fingerprint(), backbone or first.backbone)
    groups = agreeing(artifacts)
    predictors: dict[str, Predictor] = {}
    caches = []
    for names in groups:
        model = TaggedModel(loaded)
        # all inputs before the first task model, since later ones move ids
        encoders = {name: install_inputs(model, artifacts[name], registry) for name in names}
        models = {
            name: task_model_on(model, artifacts[name], encoders[name], registry) for name in names
        }
        with_head = [each for each in models.values() if each.head is not None]
        if with_head:
            found, _ = PrefixCache.open(model, setting, TagStore().scratch, len(groups))
            if found is not None:
                found.keep_between_calls()
                caches.append(found)
            for each in with_head:
                each.prefix_cache = found
        for name, each in models.items():
            predictors[name] = predictor_of(each, artifacts[name], registry, on_doubt)
    return Predictors({name: predictors[name] for name in artifacts}, caches)


def agreeing(artifacts: Mapping[str, Artifact]) -> list[list[str]]:
    """Group artifacts that can share a tagged model: what has the same name has the same content.

    Args:
        artifacts: Name -> artifact.

    Returns:
        The names of each group, in order; an artifact joins the first group that it agrees with.
    """
    groups: list[tuple[list[str], dict[str, str]]] = []
    for name, artifact in artifacts.items():
        own = _contents(artifact)
        for names, contents in groups:
            if all(contents.get(key, value) == value for key, value in own.items()):
                names.append(name)
                contents.update(own)
                break
        else:
            groups.append(([name], own))
    return [names for names, _ in groups]


def _contents(artifact: Artifact) -> dict[str, str]:
    """Return a fingerprint of each tag and of each domain's symbol table."""
    arrays: dict[str, Any] = {f"tag {name}": artifact.tag(name) for name in artifact.tags}
    contents = {f"table {domain}": "untrained" for domain in artifact.config.domains}
    arrays |= {f"table {domain}": table for domain, table in artifact.tables.items()}
    arrays |= {f"inner {name}": value for name, value in artifact.inner.items()}
    for key, value in arrays.items():
        rows = value.detach().cpu().float().numpy()
        contents[key] = fingerprint_of([list(rows.shape), rows])
    return contents


def _check_precision(artifacts: Mapping[str, Artifact], precision: str | None) -> None:
    trained = {artifact.precision: name for name, artifact in artifacts.items()}
    if precision is None and len(trained) > 1:
        facts = ", ".join(f"{name} in {each}" for each, name in trained.items())
        raise ConfigError(
            f"predictors on one backbone run in one precision, but these were trained in several: "
            f"{facts}. Choose one: precision fp32 or bf16 (--precision)."
        )
