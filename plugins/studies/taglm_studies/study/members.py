"""Running the members of a study: one after the other or several at a time, each of them once."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from taglm_core import Call, Workers
from taglm_core.plugin import (
    import_object,
    message_of,
    peak_memory,
    shown_seconds,
    write_json,
)
from taglm_studies.study.folder import COST, Member, StudyFolder


def run_members(
    members: Sequence[Member],
    study: StudyFolder,
    say: Callable[[str], None],
    jobs: int = 1,
    workers: Workers | None = None,
) -> dict[str, str]:
    """Run every member that has not finished; one that fails stops only those that need it.

    Args:
        members: In the order in which they run, each behind the one that it needs.
        study: Open.
        say: Is told what begins and how long the rest may take.
        jobs: Members that run at a time, each in a process of its own.
        workers: Of an engine, which run them instead; the folder must be theirs too.

    Returns:
        Member -> why it failed.
    """
    waiting = study.unfinished(members)
    if len(waiting) < len(members):
        say(f"{len(members) - len(waiting)} of {len(members)} members have finished before")
    if workers is None and jobs == 1:
        failed = _run_in_turn(waiting, members, study, say)
        return failed | _left_out(waiting, failed, say)
    needed = {member.needs for member in waiting}
    early = [member for member in waiting if member.name in needed]
    failed = _run_at_once(early, study, say, jobs, workers)
    out = _left_out(waiting, failed, say)
    late = [m for m in waiting if m not in early and m.name not in out]
    return failed | out | _run_at_once(late, study, say, jobs, workers)


def _run_at_once(
    waiting: Sequence[Member],
    study: StudyFolder,
    say: Callable[[str], None],
    jobs: int,
    workers: Workers | None,
) -> dict[str, str]:
    if workers is not None:
        return _run_on(workers, waiting, study, say)
    return _run_beside(waiting, study, say, jobs) if waiting else {}


def _left_out(
    waiting: Sequence[Member], missing: Collection[str], say: Callable[[str], None]
) -> dict[str, str]:
    """Return why members are left out whose rows another one should have given; say it once."""
    out: dict[str, list[str]] = {}
    for member in waiting:
        if member.needs in missing:
            out.setdefault(str(member.needs), []).append(member.name)
    for need, names in out.items():
        say(f"left out, since they need the rows of {need}: {', '.join(names)}")
    return {name: f"it needs {need}, which failed" for need, names in out.items() for name in names}


def _run_in_turn(
    waiting: Sequence[Member],
    members: Sequence[Member],
    study: StudyFolder,
    say: Callable[[str], None],
) -> dict[str, str]:
    failed: dict[str, str] = {}
    for i, member in enumerate(waiting):
        if member.needs in failed:
            continue
        left = estimate(waiting[i:], members, study)
        rest = f", about {shown_seconds(left)} left" if left is not None else ""
        say(f"{member.name}, {i + 1} of {len(waiting)}{rest}")
        try:
            run_member(member.function, study.folder_of(member), dict(member.arguments))
        except Exception as error:  # of a library too: the other members are worth running
            failed[member.name] = message_of(error)
            say(f"{member.name} failed: {failed[member.name]}")
    return failed


def _run_beside(
    waiting: Sequence[Member], study: StudyFolder, say: Callable[[str], None], jobs: int
) -> dict[str, str]:
    failed = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_end_with_parent, initargs=(os.getpid(),)
    ) as pool:
        running = {
            pool.submit(run_member, m.function, study.folder_of(m), dict(m.arguments)): m
            for m in waiting
        }
        for done in as_completed(running):
            name = running[done].name
            try:
                done.result()
                say(f"{name} has finished")
                continue
            except BrokenProcessPool:
                failed[name] = (
                    "its process was killed, possibly for lack of memory. Run the same command "
                    "again, with fewer --jobs."
                )
            except Exception as error:
                failed[name] = message_of(error)
            say(f"{name} failed: {failed[name]}")
    return failed


def _end_with_parent(parent: int) -> None:
    """Let this process end soon after its parent, so that no member trains on after a kill."""
    threading.Thread(target=_watch, args=(parent, os._exit), daemon=True).start()


def _watch(parent: int, end: Callable[[int], None]) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    end(1)


def _run_on(
    workers: Workers, waiting: Sequence[Member], study: StudyFolder, say: Callable[[str], None]
) -> dict[str, str]:
    """Run members on the workers of an engine."""
    if not waiting:
        return {}
    failed = {}
    workers.start(f"{__name__}:MemberRunner", {})
    calls = [
        Call(
            method="run",
            arguments=(m.function, study.folder_of(m).resolve(), dict(m.arguments)),
            is_long=True,
        )
        for m in waiting
    ]
    for number, reason in workers.run(calls):
        member = waiting[number]
        if reason is None and study.cost_of(member) is None:
            reason = (
                f"has finished on another machine, but {study.folder_of(member)} is not here; "
                "give a folder that the machines share: --out FOLDER"
            )
        if reason is None:
            say(f"{member.name} has finished")
        else:
            failed[member.name] = reason
            say(f"{member.name} failed: {reason}")
    return failed


class MemberRunner:
    """Runs members in a worker of an engine."""

    def run(self, function: str, folder: Path, arguments: Mapping[str, Any]) -> str | None:
        """Run one; return why it failed, None when it has finished."""
        try:
            run_member(function, folder, arguments)
        except Exception as error:
            return message_of(error)
        return None


def run_member(function: str, folder: Path, arguments: Mapping[str, Any]) -> None:
    """Run one member and write what it cost, which marks it as finished."""
    folder.mkdir(parents=True, exist_ok=True)
    work: Callable[..., dict[str, Any]] = import_object(function, "a study")
    began = time.monotonic()
    with peak_memory() as peak:
        cost = work(folder, **arguments)
    memory = round(peak.num_bytes / 1024**2, 1)
    facts = {"wall_seconds": round(time.monotonic() - began, 2), "peak_memory_mib": memory}
    write_json(folder / COST, {**cost, **facts})


def estimate(
    waiting: Sequence[Member], members: Sequence[Member], study: StudyFolder
) -> float | None:
    """Return the seconds that members will take, by those of the study that have finished.

    Members of the same group count most; None while none has finished.
    """
    known: dict[str, list[float]] = {}
    for member in members:
        cost = study.cost_of(member)
        if cost is not None:
            known.setdefault(member.group, []).append(float(cost["wall_seconds"]))
    every = [seconds for own in known.values() for seconds in own]
    if not every:
        return None
    mean = {group: sum(own) / len(own) for group, own in known.items()}
    return sum(mean.get(member.group, sum(every) / len(every)) for member in waiting)
