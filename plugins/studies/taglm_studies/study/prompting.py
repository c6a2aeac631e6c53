"""The LM asked in plain text: some training rows as examples, then the row, and it writes on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from taglm_studies.study.answers import probabilities, read_answer
from taglm_studies.study.rows import Rows, as_text

EXAMPLES = 4
_NEW_TOKENS = 12
_BATCH = 16


def predict_by_prompt(predictor: Any, rows: Rows, split: str, seed: int) -> tuple[np.ndarray, int]:
    """Let the backbone write the targets of a split as text.

    An answer that cannot be read is the mean of the train split, or its class frequencies.

    Args:
        predictor: A `taglm.Predictor`, whose backbone is asked.
        rows: The rows.
        split: Such as "test".
        seed: Chooses the examples.

    Returns:
        Predictions as taglm gives them, and how many answers could not be read.
    """
    backbone = predictor.task_model.model.backbone
    fields, train = rows.fields(split), rows.fields("train")
    truth = rows.truth("train")
    count = len(next(iter(fields.values()), []))
    made = np.zeros((count, rows.num_outputs))
    unread = 0
    names = [rows.names[0]] if rows.has_classes else rows.names
    for k, name in enumerate(names):
        own = truth if rows.has_classes else truth[:, k]
        known = np.flatnonzero(
            np.isfinite(own) & (own >= 0) if rows.has_classes else np.isfinite(own)
        )
        rng = np.random.default_rng([seed, 11, k])
        chosen = rng.choice(known, min(EXAMPLES, len(known)), replace=False)
        head = "".join(
            _record(train, i, name) + f" {_said(rows, own[i])}\n\n" for i in map(int, chosen)
        )
        prompts = [head + _record(fields, i, name) for i in range(count)]
        for i, answer in enumerate(_answers(backbone, prompts)):
            value = read_answer(rows, answer)
            unread += value is None
            if rows.has_classes:
                made[i] = probabilities(rows, truth, value)
            else:
                mean = float(np.mean(own[known]))
                made[i, k] = mean if value is None else value
    return made, unread


def _record(fields: dict[str, list[Any]], i: int, target: str) -> str:
    lines = [f"{name}: {as_text(values[i])}" for name, values in fields.items()]
    return "\n".join([*lines, f"{target}:"])


def _said(rows: Rows, value: float) -> str:
    if rows.has_classes:
        return rows.classes[int(value)]
    return str(int(value)) if rows.multi_label else f"{value:.3g}"


@torch.no_grad()
def _answers(backbone: Any, prompts: Sequence[str]) -> list[str]:
    """Return what the LM writes behind each prompt, greedily."""
    tokenizer, model = backbone.tokenizer, backbone.model
    room = backbone.max_positions - _NEW_TOKENS
    ids = [tokenizer(prompt)["input_ids"][-room:] for prompt in prompts]
    found: list[str] = []
    for start in range(0, len(ids), _BATCH):
        held = ids[start : start + _BATCH]
        longest = max(map(len, held))
        batch = torch.zeros(len(held), longest, dtype=torch.long)
        mask = torch.zeros_like(batch)
        for i, row in enumerate(held):  # on the left, so that all end at the same place
            batch[i, longest - len(row) :] = torch.tensor(row)
            mask[i, longest - len(row) :] = 1
        written = model.generate(
            input_ids=batch.to(backbone.device),
            attention_mask=mask.to(backbone.device),
            max_new_tokens=_NEW_TOKENS,
            do_sample=False,
            pad_token_id=backbone.end_id,
        )
        found += tokenizer.batch_decode(written[:, longest:], skip_special_tokens=True)
    return found
