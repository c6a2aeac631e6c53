"""What a predictor looks at: attention of its function tag, and where its tags lie."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from taglm_core.data.memory import as_table
from taglm_core.inference.columns import needed_columns
from taglm_core.model.assembly import Rows
from taglm_core.model.attention_weights import attention_of_suffix
from taglm_core.model.collate import collate
from taglm_core.model.taskmodel import TaskModel

NEAREST = 5
"""Vocabulary words that are named for each tag token."""


@attrs.frozen
class Insight:
    """What a predictor looks at; `predictor.insight` gives it."""

    _predictor: Any
    """The `Predictor`."""

    def attention(
        self, data: Any, *, columns: Mapping[str, str] | None = None, fix: bool = False
    ) -> list[dict[str, Any] | None]:
        """Return what the function tag attends to in each row.

        A weight is the attention of the function tag's tokens, averaged over tokens, heads and
        layers. It says where the model reads, not why it predicts what it does.

        Args:
            data: As for `Predictor.predict`.
            columns: As for `Predictor.predict`.
            fix: As for `Predictor.predict`.

        Returns:
            One record a row, None where the row is invalid: `fields` (domain field -> `domain`,
            `symbols` and their `weights`), and the weights of `text`, `domain_tags` and
            `function_tag`. The weights of a row sum to 1. Of a symmetric task the fields are in
            the order given, of an ensemble the first member is asked.

        Raises:
            BackboneError: when the backbone gives no attention weights.

        Example:
            predictor.insight.attention(["CCO"])[0]["fields"]["smiles"]["weights"]
        """
        task_model = self._predictor.task_model
        read = as_table(data, needed_columns(task_model.task), f"task {task_model.task.name}")
        rows = self._predictor.read(read.table, columns or {}, fix)
        return attention_rows(task_model, rows.fields, rows.errors)

    def tag_geometry(self) -> dict[str, Any]:
        """Return where the tags lie among the embeddings of the backbone.

        Returns:
            `tokens`, one record for each tag token: `tag`, `token` (its number), `norm`, and
            `nearest`, words of the vocabulary with their `cosine`; `cosine`, a matrix with the
            cosine of each pair of tokens; `vocabulary_norm`, the mean norm of the vocabulary.

        Example:
            predictor.insight.tag_geometry()["tokens"][0]["nearest"]
        """
        return tag_geometry(self._predictor.task_model)


def attention_rows(
    task_model: TaskModel, fields: Mapping[str, Sequence[Any]], errors: Sequence[str | None]
) -> list[dict[str, Any] | None]:
    """Return what the function tag attends to in each row.

    Args:
        task_model: The task; of an ensemble its first member is asked.
        fields: Canonical fields.
        errors: What is wrong with each row; None: nothing.

    Returns:
        As `Insight.attention`.
    """
    rows = task_model.assemble(fields)
    found: list[dict[str, Any] | None] = []
    for i, error in enumerate(errors):
        if error is not None or rows.errors[i] is not None:
            found.append(None)
        else:
            record = _by_place(task_model, rows, i, _weights(task_model, rows, i))
            for part in task_model.task.prompt.spans:
                written = fields[part.tag.name][i] if part.tag.is_column else part.tag.name
                record["fields"][part.field]["domain"] = task_model.assembler.domain_of[written]
            found.append(record)
    return found


def _weights(task_model: TaskModel, rows: Rows, i: int) -> np.ndarray:
    """Return the weight of each id of a row, float64 `(seq,)`."""
    device = task_model.model.backbone.device
    past = int(rows.suffix[i])
    prefix = collate(rows, [i], task_model.is_isolated, device, only="prefix") if past else None
    suffix = collate(rows, [i], task_model.is_isolated, device, only="suffix")
    weights = attention_of_suffix(task_model.model, prefix, suffix)  # (tag_length, seq)
    mean: np.ndarray = weights.mean(dim=0).double().cpu().numpy()
    return mean


def _by_place(task_model: TaskModel, rows: Rows, i: int, weights: np.ndarray) -> dict[str, Any]:
    """Sort the weights of a row by what stands at each place."""
    layout, spans, ids = task_model.assembler.layout, rows.spans[i], rows.ids[i]
    is_tag = np.zeros(len(ids), dtype=bool)
    for start, length in layout.tags.values():
        is_tag |= (ids >= start) & (ids < start + length)
    is_function = is_tag & (np.arange(len(ids)) >= rows.suffix[i])
    is_data = np.zeros(len(ids), dtype=bool)
    fields: dict[str, Any] = {}
    own = task_model.task.prompt.spans
    before = len(task_model.assembler.prompt.spans) - len(own)  # those of demonstrations
    for number, part in enumerate(own, start=before + 1):
        places = np.flatnonzero(spans == number)
        places = places[places > places[is_tag[places]].max(initial=-1)]  # behind the domain tag
        is_data[places] = True
        fields[part.field] = {
            "symbols": [_spelled(task_model, int(ids[place])) for place in places],
            "weights": weights[places].tolist(),
        }
    is_shown = (spans > 0) & (spans <= before) & ~is_tag
    shown = {"demonstrations": float(weights[is_shown].sum())} if before else {}
    return {
        "fields": fields,
        **shown,
        "text": float(weights[~is_tag & ~is_data & ~is_shown].sum()),
        "domain_tags": float(weights[is_tag & ~is_function].sum()),
        "function_tag": float(weights[is_function].sum()),
    }


def _spelled(task_model: TaskModel, token: int) -> str:
    """Return the symbol, or the LM's token, that an id stands for."""
    for domain, (start, count) in task_model.assembler.layout.symbols.items():
        if start <= token < start + count:
            return str(task_model.assembler.encoders[domain].symbols[token - start])
    return str(task_model.assembler.text.decode([token]))


@torch.no_grad()
def tag_geometry(task_model: TaskModel) -> dict[str, Any]:
    """Return what `Insight.tag_geometry` does, for a task."""
    model = task_model.model
    tags = {name: rows.detach().float().cpu() for name, rows in model.tags.items()}
    table = model.backbone.embedding_rows().cpu()
    norms = table.norm(dim=1)
    directions = table / norms.clamp_min(1e-12).unsqueeze(1)
    rows = torch.cat(list(tags.values()))  # (tokens, hidden)
    lengths = rows.norm(dim=1)
    units = rows / lengths.clamp_min(1e-12).unsqueeze(1)
    near = (units @ directions.T).topk(min(NEAREST, len(table)), dim=1)
    places = [(name, k) for name, tag in tags.items() for k in range(1, len(tag) + 1)]
    tokens = [
        {
            "tag": name,
            "token": k,
            "norm": float(lengths[i]),
            "nearest": _words(model.backbone.tokenizer, near.indices[i], near.values[i]),
        }
        for i, (name, k) in enumerate(places)
    ]
    return {
        "tokens": tokens,
        "cosine": (units @ units.T).tolist(),
        "vocabulary_norm": float(norms.mean()),
    }


def _words(tokenizer: Any, ids: Tensor, cosines: Tensor) -> list[dict[str, Any]]:
    pairs = zip(ids.tolist(), cosines.tolist(), strict=True)
    return [{"word": tokenizer.decode([token]), "cosine": cosine} for token, cosine in pairs]
