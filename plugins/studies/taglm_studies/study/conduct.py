"""Carrying out a study: checks, members in turn or side by side, then the table and the page."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from taglm_core.errors import ConfigError, counted
from taglm_core.plugin import (
    load_registry,
    opened_engine,
    print_json,
    print_line,
    print_note,
    print_table,
    shown_seconds,
)
from taglm_studies.study import page
from taglm_studies.study import sweep as sweeping
from taglm_studies.study.checks import check_runs
from taglm_studies.study.estimate import estimated
from taglm_studies.study.folder import Member, StudyFolder
from taglm_studies.study.members import run_members
from taglm_studies.study.options import Place
from taglm_studies.study.table import best_on_valid, study_table


def search(
    request: Mapping[str, Any],
    path: Path,
    values: Mapping[str, Sequence[Any]],
    make: Callable[[Mapping[str, Any], int], Member],
    place: Place,
    as_json: bool,
    notes: Sequence[str],
) -> None:
    """Run a search by TPE: the members are known only when they are asked for."""
    check_place(place)
    study, seeds = StudyFolder(path), request["seeds"]
    study.check(request)
    single = [make(trial, seeds[0]) for trial in sweeping.each_value(values)]
    check_runs(single, study)
    metric: dict[str, Any] = {}
    failed: dict[str, str] = {}

    def run(trial: Mapping[str, Any]) -> float | None:
        own = [make(trial, seed) for seed in seeds]
        check_runs(own, study)
        reasons = run_members(own, study, print_note, place[0], workers)
        if reasons:
            failed.update(reasons)
            return None
        records = [facts.record for facts in map(study.facts_of, own) if facts is not None]
        metric.update(records[0]["metric"])
        return statistics.fmean(r["splits"]["valid"]["metrics"][metric["name"]] for r in records)

    study.open(request)
    try:
        with opened_engine(place[1], load_registry(), *place[2:]) as workers:
            greater = lambda: bool(metric["greater_is_better"])  # noqa: E731
            trials = request["trials"]
            asked = list(sweeping.search(study, values, trials, seeds[0], run, greater))
        distinct = {sweeping.group_name(trial): trial for trial in asked}
        members = [make(trial, seed) for seed in seeds for trial in distinct.values()]
        _finish(request, study, members, None, as_json, notes, failed)
    finally:
        study.close()


def check_place(place: Place) -> None:
    """Demand one way of running several members at a time.

    Raises:
        ConfigError: when processes of this machine and an engine are asked for.
    """
    jobs, engine = place[:2]
    if jobs > 1 and engine is not None:
        raise ConfigError(f"give --jobs {jobs} or --engine {engine}, whose --workers say how many.")


def conduct(
    request: Mapping[str, Any],
    path: Path,
    members: Sequence[Member],
    first: str | None,
    place: Place,
    dry_run: bool,
    as_json: bool,
    notes: Sequence[str],
) -> None:
    """Run what has not finished, and write table and page; or say what would run."""
    check_place(place)
    study = StudyFolder(path)
    study.check(request)
    check_runs(members, study)
    if dry_run:
        _list_members(request, study, members, as_json)
        return
    study.open(request)
    try:
        with opened_engine(place[1], load_registry(), *place[2:]) as workers:
            failed = run_members(members, study, print_note, place[0], workers)
        _finish(request, study, members, first, as_json, notes, failed)
    finally:
        study.close()


def _finish(
    request: Mapping[str, Any],
    study: StudyFolder,
    members: Sequence[Member],
    first: str | None,
    as_json: bool,
    notes: Sequence[str],
    failed: Mapping[str, str],
) -> None:
    finished = [member for member in members if study.cost_of(member) is not None]
    own = [member.name for member in members if first in (None, member.group)]
    first = first or best_on_valid(finished, study)
    if first is None or not any(member.group == first for member in finished):
        raise ConfigError(  # the causes were said when the members failed
            f"{study.path}: nothing to compare, since {', '.join(own)} failed. Do what the "
            "message above says, then run the same command again."
        )
    table = study_table(finished, study, load_registry(), first)
    said = [*notes, *(f"{name} failed: {why}" for name, why in failed.items())]
    said += page.unread_answers(finished, study)
    page.write_study(study, request, table, said)
    if as_json:
        print_json(page.as_json(request, table))
    else:
        print_table(*page.table_of(table), title=page.sentence(table), blank="")
        print_line(f"report: {study.path / 'report.html'}")
    if failed:
        print_note(f"{counted(len(failed), 'member')} failed; run the same command again to retry")
        raise typer.Exit(1)


def _list_members(
    request: Mapping[str, Any], study: StudyFolder, members: Sequence[Member], as_json: bool
) -> None:
    waiting = study.unfinished(members)
    seconds, how = estimated(request, waiting, members, study)
    if as_json:
        states = {m.name: "waiting" if m in waiting else "finished" for m in members}
        print_json({"members": states, "seconds": seconds, "estimated_by": how})
        return
    rows = [[m.group, m.seed, "waiting" if m in waiting else "finished"] for m in members]
    print_table(["group", "seed", "state"], rows)
    total = f"about {shown_seconds(seconds)}" if seconds is not None else "unknown"
    print_line(f"{len(waiting)} of {len(members)} members to run; time: {total} ({how})")
