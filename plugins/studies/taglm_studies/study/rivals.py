"""What a tag is compared with, on the same backbone and the same symbols: PEFT, probes, prompts.

The input of a rival is the prompt of the task with all its words and symbols and without tags, so
that the domain is given in words. Its head is that of all methods (`study.head`).
"""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from taglm_core.errors import ConfigError, DataError
from taglm_studies.study.rows import Rows, as_text

BATCH_TOKENS = 8192
LEARNING_RATES = {"prompt-tuning": 0.05, "lora": 1e-3, "full": 1e-4}
"""Of prompt tuning relative to the root mean square of the embeddings, as that of tags is."""
_EVALUATIONS = 5
_MOST_JUDGED = 500
"""Validation rows that choose when to stop."""


@attrs.frozen(kw_only=True)
class Budget:
    """How much a method may train."""

    passes: int
    """Training rows that pass through the backbone, each time counted."""
    seconds: float | None = None
    """Wall clock after which training ends; None: no limit."""
    batch_size: int = 64
    learning_rate: float | None = None
    """None: that of `LEARNING_RATES`."""


class Rival:
    """A method on a backbone of its own, with an input without tags."""

    def __init__(self, predictor: Any, rows: Rows, method: str, seed: int) -> None:
        """Wrap the backbone of a predictor, which the method may change.

        Args:
            predictor: A `taglm.Predictor` of the tag method, loaded for this rival alone.
            rows: The rows.
            method: prompt-tuning, lora, full or linear-probe.
            seed: Of adapters and of the order of rows.
        """
        self.rows, self.method, self.seed = rows, method, seed
        self.task_model = predictor.task_model
        self.backbone = self.task_model.model.backbone
        torch.manual_seed(seed)
        self.base, self.num_virtual = self._wrapped()
        self.trained = [p for p in self.base.parameters() if p.requires_grad]
        self._streams = {split: self._without_tags(split) for split in rows.splits}

    def _wrapped(self) -> tuple[nn.Module, int]:
        base: nn.Module = self.backbone.base
        if self.method == "linear-probe":
            return base, 0
        if self.method == "full":
            base.requires_grad_(True)
            self.backbone.model.get_input_embeddings().requires_grad_(False)
            return base, 0
        import peft

        kind = peft.TaskType.FEATURE_EXTRACTION
        count = len(self.task_model.model.tags[self.task_model.task.function_tag])
        if self.method == "prompt-tuning":
            config: Any = peft.PromptTuningConfig(task_type=kind, num_virtual_tokens=count)
        else:
            config = peft.LoraConfig(task_type=kind, r=8, lora_alpha=16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped: nn.Module = peft.get_peft_model(base, config)
        return wrapped, count if self.method == "prompt-tuning" else 0

    @property
    def parameters(self) -> int:
        """Number of trained parameters, the head not among them."""
        return sum(p.numel() for p in self.trained)

    def _without_tags(self, split: str) -> list[list[np.ndarray]]:
        """Return the ids of each row, for each order of the fields."""
        layout = self.task_model.assembler.layout
        first_tag = min(start for start, _ in layout.tags.values())
        found = []
        for fields in self.rows.orders(split):
            assembled = self.task_model.assemble(fields)
            bad = [error for error in assembled.errors if error is not None]
            if bad:
                raise DataError(f"{split}: a row cannot be given to {self.method}: {bad[0]}")
            found.append([row[row < first_tag] for row in assembled.ids])
        return found

    def states(self, split: str, most: int | None = None) -> np.ndarray:
        """Return what the head reads, float32 `(rows, hidden)`; the mean over both orders."""
        orders = []
        self.base.eval()
        with torch.no_grad():
            for streams in self._streams[split]:
                held = streams[:most]
                made = np.zeros((len(held), self.backbone.hidden_size), dtype=np.float32)
                for chosen in _batches(held):
                    made[chosen] = self._read([held[i] for i in chosen]).cpu().numpy()
                orders.append(made)
        return np.asarray(np.mean(orders, axis=0), dtype=np.float32)

    def _read(self, streams: Sequence[np.ndarray]) -> Tensor:
        """Return the state at the last token of each row, `(batch, hidden)`."""
        device = self.backbone.device
        longest = max(map(len, streams))
        ids = np.zeros((len(streams), longest), dtype=np.int64)
        mask = np.zeros((len(streams), longest), dtype=np.int64)
        for place, stream in enumerate(streams):
            ids[place, : len(stream)], mask[place, : len(stream)] = stream, 1
        embedded = self.task_model.model.embed(torch.from_numpy(ids).to(device))
        output = self.base(
            inputs_embeds=embedded.to(self.backbone.dtype),
            attention_mask=torch.from_numpy(mask).to(device),
        )
        states: Tensor = output.last_hidden_state
        ends = torch.tensor([self.num_virtual + len(s) - 1 for s in streams], device=device)
        return states[torch.arange(len(streams), device=device), ends].float()

    def train(self, budget: Budget) -> dict[str, Any]:
        """Train the method together with a linear head; keep what validates best.

        Returns:
            `passes`, `seconds` and `learning_rate`.
        """
        rate = budget.learning_rate or LEARNING_RATES[self.method]
        used = rate
        if self.method == "prompt-tuning":
            used = rate * self.backbone.embedding_scale()[1]
        trainer = _Trainer(self, used)
        began, done, best, kept = time.monotonic(), 0, trainer.judge(), self._copied()
        steps = max(1, budget.passes // budget.batch_size)
        for step, chosen in enumerate(self._order(steps, budget.batch_size), start=1):
            trainer.step(chosen, _factor(step, steps))
            done += len(chosen)
            is_over = budget.seconds is not None and time.monotonic() - began > budget.seconds
            if step % max(1, steps // _EVALUATIONS) == 0 or step == steps or is_over:
                error = trainer.judge()
                if error < best:
                    best, kept = error, self._copied()
            if is_over:
                break
        with torch.no_grad():
            for parameter, value in zip(self.trained, kept, strict=True):
                parameter.copy_(value)
        seconds = round(time.monotonic() - began, 2)
        return {"passes": done, "seconds": seconds, "learning_rate": rate}

    def _copied(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.trained]

    def _order(self, steps: int, size: int) -> Iterator[np.ndarray]:
        """Give the rows of each step: one pass over the train split after the other."""
        count = len(self._streams["train"][0])
        rng = np.random.default_rng([self.seed, 5])
        order = np.concatenate([rng.permutation(count) for _ in range(1 + steps * size // count)])
        for step in range(steps):
            yield order[step * size : (step + 1) * size]


class _Trainer:
    """The gradient steps of a rival with a linear head on standardized targets."""

    def __init__(self, rival: Rival, rate: float) -> None:
        self.rival, rows = rival, rival.rows
        self.head = nn.Linear(rival.backbone.hidden_size, rows.num_outputs)
        self.head.to(rival.backbone.device)
        truth = rows.truth("train")
        self._mean = np.zeros(1) if rows.kind != "regression" else np.nanmean(truth, axis=0)
        spread = np.ones(1) if rows.kind != "regression" else np.nanstd(truth, axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._start_head()
        parameters = [
            {"params": rival.trained, "lr": rate},
            {"params": list(self.head.parameters()), "lr": 1e-3},
        ]
        self.optimizer = torch.optim.AdamW(parameters, weight_decay=0.0)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]

    def _start_head(self) -> None:
        """Begin with the least squares head on the untrained states, as taglm does."""
        states = torch.from_numpy(self.rival.states("train", 2000)).double()
        wanted = self._wanted("train", np.arange(len(states))).double()
        if self.rival.rows.has_classes:
            wanted = nn.functional.one_hot(wanted.long(), self.rival.rows.num_outputs).double()
        wanted = torch.nan_to_num(wanted)
        mean, center = states.mean(dim=0), wanted.mean(dim=0)
        centered = states - mean
        products = centered.T @ centered
        penalty = 0.1 * products.diagonal().mean() * torch.eye(len(products), dtype=torch.float64)
        weights = torch.linalg.solve(products + penalty, centered.T @ (wanted - center))
        with torch.no_grad():
            self.head.weight.copy_(weights.T)
            self.head.bias.copy_(center - mean @ weights)

    def step(self, chosen: np.ndarray, factor: float) -> None:
        """Take one optimizer step over some training rows."""
        self.rival.base.train()
        self.optimizer.zero_grad(set_to_none=True)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        streams = self.rival._streams["train"][0]
        held = [streams[i] for i in chosen]
        for places in _batches(held):
            states = self.rival._read([held[i] for i in places])
            loss = self._loss(states, self._wanted("train", chosen[places]))
            torch.autograd.backward(loss * len(places) / len(chosen))
        nn.utils.clip_grad_norm_(self.rival.trained, 1.0)
        self.optimizer.step()

    @torch.no_grad()
    def judge(self) -> float:
        """Return the loss on the validation rows."""
        states = torch.from_numpy(self.rival.states("valid", _MOST_JUDGED))
        wanted = self._wanted("valid", np.arange(len(states)))
        return float(self._loss(states.to(self.rival.backbone.device), wanted))

    def _wanted(self, split: str, chosen: np.ndarray) -> Tensor:
        truth = self.rival.rows.truth(split)[chosen]
        if self.rival.rows.has_classes:
            return torch.from_numpy(truth)
        return torch.from_numpy((truth - self._mean) / self._spread).float()

    def _loss(self, states: Tensor, wanted: Tensor) -> Tensor:
        outputs, wanted = self.head(states), wanted.to(states.device)
        if self.rival.rows.has_classes:
            return nn.functional.cross_entropy(outputs, wanted)
        known = torch.isfinite(wanted)
        safe = torch.where(known, wanted, torch.zeros_like(wanted))
        if self.rival.rows.multi_label:
            each = nn.functional.binary_cross_entropy_with_logits(outputs, safe, reduction="none")
        else:
            each = (outputs - safe).square()
        return (each * known).sum() / known.sum().clamp_min(1)


def _factor(step: int, steps: int) -> float:
    """Return the share of the learning rate: a short warm-up, then a cosine."""
    warm = max(1, steps // 30)
    if step <= warm:
        return step / warm
    return 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))


def _batches(streams: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Give indices of rows of like lengths, at most `BATCH_TOKENS` tokens with their padding."""
    order = np.argsort([len(stream) for stream in streams], kind="stable")
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * len(streams[i]) > BATCH_TOKENS:
            yield np.array(batch)
            batch = []
        batch.append(int(i))
    if batch:
        yield np.array(batch)


def probe_states(
    name: str, rows: Rows, say: Callable[[str], None]
) -> tuple[dict[str, np.ndarray], int]:
    """Return the mean last hidden states of any Hugging Face model on the plain fields.

    Args:
        name: Folder or Hub id, such as seyonec/ChemBERTa-zinc-base-v1.
        rows: The rows.
        say: Is told about fields that are cut.

    Returns:
        Split -> float32 `(rows, hidden)`, and the parameters of the model.
    """
    import transformers

    from taglm_core.plugin import hub_access

    try:
        with hub_access():
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
            model = transformers.AutoModel.from_pretrained(name).eval()
    except (OSError, ValueError) as error:  # no such model, no network, no weights, no tokenizer
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"probe:{name}: the model fails to load. Check the name and the network, or give a "
            f"folder that holds the model and its tokenizer. {reason}"
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    longest = min(int(getattr(model.config, "max_position_embeddings", 512) or 512), 1024)
    found = {}
    for split in rows.splits:
        parts = []
        for fields in rows.orders(split):
            texts = [" ".join(map(as_text, row)) for row in zip(*fields.values(), strict=True)]
            parts.append(_mean_states(model, tokenizer, texts, longest))
        found[split] = np.asarray(np.mean(parts, axis=0), dtype=np.float32)
    say(f"probe {name}: texts are cut at {longest} tokens")
    return found, sum(p.numel() for p in model.parameters())


@torch.no_grad()
def _mean_states(model: Any, tokenizer: Any, texts: Sequence[str], longest: int) -> np.ndarray:
    made: list[np.ndarray] = []
    for start in range(0, len(texts), 32):
        batch = tokenizer(
            list(texts[start : start + 32]),
            padding=True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        states = model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"].unsqueeze(-1).float()
        made.append(((states * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)).numpy())
    return np.concatenate(made) if made else np.zeros((0, model.config.hidden_size))
