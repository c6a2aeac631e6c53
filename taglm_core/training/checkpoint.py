"""Checkpoints of a fit: parameters, optimizer state and counters, without pickle."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from taglm_core.data.atomic import read_mapping, replace_folder
from taglm_core.errors import CheckpointError


def save_checkpoint(
    folder: Path,
    parameters: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    best: Sequence[Tensor],
    state: dict[str, Any],
) -> None:
    """Write a checkpoint whole.

    Args:
        folder: Replaced if it exists.
        parameters: Trained parameters and buffers, in an order that stays.
        optimizer: AdamW over them.
        best: Copies of the parameters at the best evaluation.
        state: Plain counters.
    """
    tensors: dict[str, Tensor] = {}
    for i, parameter in enumerate(parameters):
        tensors[f"parameter.{i}"] = parameter.detach()
        tensors[f"best.{i}"] = best[i]
        for name, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{i}.{name}"] = torch.as_tensor(value)
    with replace_folder(folder) as temporary:
        held = {name: value.cpu().contiguous() for name, value in tensors.items()}
        (temporary / "state.safetensors").write_bytes(save(held))
        (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")


def load_checkpoint(
    folder: Path, parameters: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> tuple[list[Tensor], dict[str, Any]] | None:
    """Put a checkpoint back into parameters and optimizer.

    Returns:
        The best parameters and the counters; None when there is no checkpoint.

    Raises:
        CheckpointError: when it belongs to other parameters.
    """
    if not (folder / "state.json").is_file():
        return None
    state = read_mapping(folder / "state.json")
    tensors = load((folder / "state.safetensors").read_bytes())
    best = []
    for i, parameter in enumerate(parameters):
        held = tensors.get(f"parameter.{i}")
        if held is None or held.shape != parameter.shape:
            raise CheckpointError(
                f"{folder} is a checkpoint of other parameters. Delete the folder to train again."
            )
        with torch.no_grad():
            parameter.copy_(held)
        best.append(tensors[f"best.{i}"])
        prefix = f"optimizer.{i}."
        entries = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if entries:
            optimizer.state[parameter] = {
                # AdamW counts its steps on the CPU
                name: value if name == "step" else value.to(parameter.device)
                for name, value in entries.items()
            }
    return best, state
