"""What a predictor attends to in a row, with pictures by the domains."""

from typing import Any

import taglm
from taglm_core.plugin import draw_row
from taglm_serve.models import Attention, FieldAttention

_DIGITS = 4


def attention_of(
    name: str, predictor: "taglm.Predictor", row: dict[str, Any], fix: bool
) -> Attention:
    """Return what the function tag attends to in a row.

    Args:
        name: Of the predictor.
        predictor: Nothing else may use it meanwhile.
        row: Field -> value.
        fix: True: the row is first standardized by the rules of its domains.

    Raises:
        BackboneError: when the backbone gives no attention weights.
    """
    columns = {field: [value] for field, value in row.items()}
    (record,) = predictor.insight.attention(columns, fix=fix)
    if record is None:
        (error,) = predictor.predict(columns, "dict", fix=fix, similarity=False)["error"]
        return Attention(
            predictor=name, error=error, fields=[], text=None, domain_tags=None, function_tag=None
        )
    domains = [*predictor.domains.values(), *predictor.task_model.task.domains.values()]
    known = {domain.name: domain.spec for domain in domains}
    fields = []
    for field, found in record["fields"].items():
        spec, weights = known.get(found["domain"]), found["weights"]
        text = "".join(found["symbols"])
        fields.append(
            FieldAttention(
                field=field,
                symbols=found["symbols"],
                weights=[round(weight, _DIGITS) for weight in weights],
                picture=draw_row(spec, text, weights) if spec is not None else None,
            )
        )
    shares = {key: round(record[key], _DIGITS) for key in ("text", "domain_tags", "function_tag")}
    return Attention(predictor=name, error=None, fields=fields, **shares)
