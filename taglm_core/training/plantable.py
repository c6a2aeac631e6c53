"""What each stage of a plan trains, in a table."""

from typing import Any

from taglm_core.training.function_tag import tag_counts
from taglm_core.training.plan import Plan


def plan_table(plan: Plan) -> list[dict[str, Any]]:
    """Return one record for each tag and head of each stage: trained or frozen, parameters."""
    outline, settings = plan.planned.outline, plan.config.stages
    hidden = outline.hidden_size
    records: list[dict[str, Any]] = []
    for item in plan.domains.values():
        if item.is_trained:
            state, count = "trained", settings.domain.tag_length * hidden
            if settings.domain.train_symbols and item.encoder is not None:
                count += len(item.encoder.symbols) * hidden
        elif item.stored is not None:
            state = f"from {item.package}" if item.package else "from the store"
            count = len(item.stored.tag(item.tag)) * hidden
        else:
            state, count = "untrained", settings.domain.tag_length * hidden
        records.append(_record("1", f"<{item.tag}>", state, count))
    stage = str(plan.stage_number)
    is_new = plan.stored_task is None
    trained = "trained" if is_new else "from the store"
    for item in plan.domains.values():
        state = "trained" if settings.task.enrich and is_new else "frozen"
        name = item.tag + (f"@{plan.task.name}" if settings.task.enrich else "")
        records.append(_record(stage, f"<{name}>", state, settings.domain.tag_length * hidden))
    given = plan.given_function_tag
    state = trained if given is None else "frozen"
    counts = tag_counts(outline, plan.task.function_tag, settings.task, given)
    records += [_record(stage, name, state, count) for name, count in counts.items()]
    if plan.num_outputs:
        name = f"head {plan.task.name}"
        records.append(_record(stage, name, trained, plan.head_parameters()))
    name = f"backbone {plan.planned.name}"
    records.append(_record("all", name, "frozen", outline.num_parameters))
    return records


def _record(stage: str, tag: str, state: str, parameters: int) -> dict[str, Any]:
    return {"stage": stage, "tag": tag, "state": state, "parameters": parameters}
