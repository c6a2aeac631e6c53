"""Running stage 1: each domain tag taken from the tag store or trained, several at once.

The domain tags of a run do not depend on each other. Several processes train different tags side by
side when there are at least as many tags; else they divide the rows of each.
"""

import contextlib
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import TaglmError, counted
from taglm_core.model.tagged import TaggedModel
from taglm_core.progress import Progress
from taglm_core.store.artifact import Artifact
from taglm_core.store.runfolder import RunFolder
from taglm_core.store.schema import to_plain
from taglm_core.store.tagstore import TagStore
from taglm_core.training import processes
from taglm_core.training.build import take_stored
from taglm_core.training.domain_fit import train_domain
from taglm_core.training.domain_plan import DomainPlan
from taglm_core.training.interrupts import StopAfterStep
from taglm_core.training.lineage import domain_artifact
from taglm_core.training.plan import Plan


@attrs.frozen
class _Made:
    """A domain tag as a process has trained it, or found it in the store."""

    artifact: Artifact
    readme: str
    is_new: bool


@attrs.frozen
class _Part:
    """What a process did side by side with the others."""

    made: dict[str, _Made]
    failure: BaseException | None


def run_domain_stages(
    plan: Plan,
    items: Sequence[DomainPlan],
    model: TaggedModel,
    folder: RunFolder,
    store: TagStore,
    progress: Progress,
) -> dict[str, dict[str, Any]]:
    """Train the domain tags that the store lacks, and put all of them into the model.

    Returns:
        Tag -> its record of stage 1, empty for one that stays untrained.
    """
    trained = processes.decided(lambda: [item.tag for item in items if item.is_trained])
    shares = divided_stages(trained, processes.size(), plan.budget is not None)
    if shares:
        progress.say(shown_shares(shares))
        made = _side_by_side(shares, plan, items, model, folder, store, progress)
    records = {}
    for item in items:
        if shares and item.tag in made:
            record = _taken(item, made[item.tag], plan, model, folder, store)
        else:
            record = _run_stage(plan, item, model, folder, store, progress)
        records[item.tag] = _said(record, item, progress)
    return records


def divided_stages(tags: Sequence[str], count: int, has_budget: bool) -> list[list[str]]:
    """Return the domain tags that each process trains, side by side with the others.

    Args:
        tags: Those that are trained.
        count: Number of processes.
        has_budget: Whether steps are planned by the time of the run, one stage after the other.

    Returns:
        One list a process; empty where all processes train each tag together.
    """
    if count == 1 or len(tags) < count or has_budget:
        return []
    return [list(tags[rank::count]) for rank in range(count)]


def shown_shares(shares: Sequence[Sequence[str]]) -> str:
    """Return a line that says which process trains which tags."""
    trained = "; ".join(
        f"process {number} trains {', '.join(f'<{tag}>' for tag in tags)}"
        for number, tags in enumerate(shares, start=1)
    )
    return f"stage 1 in parallel: {trained}"


def _side_by_side(
    shares: Sequence[Sequence[str]],
    plan: Plan,
    items: Sequence[DomainPlan],
    model: TaggedModel,
    folder: RunFolder,
    store: TagStore,
    progress: Progress,
) -> dict[str, _Made]:
    """Train the own share of the tags, and return those of all processes.

    What is finished is kept when another process fails or is stopped.
    """
    work = _work_folder(folder)
    own = shares[processes.rank()]
    made: dict[str, _Made] = {}
    failure: BaseException | None = None
    try:
        with processes.alone():
            for item in items:
                if item.tag in own:
                    made[item.tag] = _make(plan, item, model, folder, work, store, progress)
    except (Exception, KeyboardInterrupt) as error:
        failure = error
    with StopAfterStep() as interrupt:  # Ctrl-C while the others are waited for
        parts = processes.exchanged(_Part(made, failure and _sendable(failure)))
    is_stopped = processes.any_of(interrupt.is_asked)
    failure = failure or next((part.failure for part in parts if part.failure is not None), None)
    if failure is None and is_stopped:
        failure = KeyboardInterrupt()
    if failure is None:
        return {tag: each for part in parts for tag, each in part.made.items()}
    for part in parts:
        for each in part.made.values():
            _log(each, folder)
    raise failure


def _work_folder(folder: RunFolder) -> RunFolder:
    """Return where checkpoints go: the run folder, where every process sees it."""
    path = Path(processes.decided(lambda: str(folder.path.absolute())))
    return RunFolder(path) if path.is_dir() else folder


def _sendable(error: BaseException) -> BaseException:
    """Return an error as another process can raise it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made a line above
    except Exception:
        return TaglmError(f"{type(error).__name__}: {error}")
    return error


def _make(
    plan: Plan,
    item: DomainPlan,
    model: TaggedModel,
    folder: RunFolder,
    work: RunFolder,
    store: TagStore,
    progress: Progress,
) -> _Made:
    """Train a tag and store it, unless another run has done so while this one waited."""
    key = plan.fingerprint.key
    with _locked(store, key, item.tag, item.fingerprint):
        stored = None
        if not plan.config.stages.domain.fresh:
            stored = processes.known(store.find(key, item.tag, item.fingerprint))
        if stored is not None:
            return _Made(stored, "", False)
        lineage, offsets = train_domain(plan, item, model, folder, work, progress)
        artifact, readme = domain_artifact(plan, item, model, lineage, offsets)
        if processes.is_first():
            store.save(key, item.tag, item.fingerprint, artifact, readme)
        return _Made(artifact, readme, True)


def _taken(
    item: DomainPlan,
    made: _Made,
    plan: Plan,
    model: TaggedModel,
    folder: RunFolder,
    store: TagStore,
) -> dict[str, Any]:
    """Put a tag that some process has made into the model; return its record."""
    key = plan.fingerprint.key
    item.stored = made.artifact
    take_stored(item, made.artifact, model)
    _log(made, folder)
    if made.is_new and processes.is_first():
        with store.lock(key, item.tag, item.fingerprint):
            if store.find(key, item.tag, item.fingerprint) is None:  # made on another machine
                store.save(key, item.tag, item.fingerprint, made.artifact, made.readme)
    return _record(item, not made.is_new)


def _run_stage(
    plan: Plan,
    item: DomainPlan,
    model: TaggedModel,
    folder: RunFolder,
    store: TagStore,
    progress: Progress,
) -> dict[str, Any]:
    """Train one domain tag with all processes, unless it is there or is to stay untrained."""
    is_new = False
    if item.is_trained:
        made = _make(plan, item, model, folder, folder, store, progress)
        item.stored, is_new = made.artifact, made.is_new
        _log(made, folder)
        if not is_new:
            take_stored(item, made.artifact, model)
    return _record(item, not is_new) if item.stored is not None else {}


def _log(made: _Made, folder: RunFolder) -> None:
    """Write what was trained of a tag to the log of the run."""
    if made.is_new:
        (record,) = made.artifact.config.tags.values()
        folder.log(to_plain(record.lineage))


def _record(item: DomainPlan, is_from_store: bool) -> dict[str, Any]:
    """Return the record of stage 1 of a tag that is there."""
    assert item.stored is not None, "a tag that is there"
    record = dict(to_plain(item.stored.config.tags[item.tag].lineage))
    if item.package:
        record["from_package"] = item.package
    return {**record, "from_store": True} if is_from_store else record


@contextlib.contextmanager
def _locked(store: TagStore, key: str, tag: str, fingerprint: str) -> Iterator[None]:
    """Hold an entry of the store, which the first process of a run does for all."""
    if not processes.is_first():
        yield
        return
    with store.lock(key, tag, fingerprint):
        yield


def _said(record: dict[str, Any], item: DomainPlan, progress: Progress) -> dict[str, Any]:
    """Say, and put into the record of stage 1, that a tag is worse than none."""
    nats = record.get("held_out_nats_per_symbol") or {}
    with_tag, without = nats.get("tag"), nats.get("no_tag")
    if with_tag is None or without is None or with_tag < without:
        return record
    rows = counted(record["held_out_rows"], "held-out row")
    remark = (
        f"the domain tag <{item.tag}> is worse than no tag: {with_tag:.4g} nats per symbol with "
        f"it, {without:.4g} without, on {rows}. Train it longer (--set stages.domain.epochs=3), or "
        f"on data closer to yours (--domain-data {item.domain.short}=FILE)"
    )
    progress.say(f"note: {remark}")
    return {**record, "remark": remark}
