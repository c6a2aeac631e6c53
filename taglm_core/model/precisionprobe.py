"""Is bf16 close enough and faster? Measured on the backbone at hand, on its own shapes."""

import contextlib
import time
from collections.abc import Callable

import attrs
import torch
from torch import Tensor

from taglm_core.model.backbone import Backbone
from taglm_core.model.closed_form import solve_ridge
from taglm_core.model.precision import BF16, FP32, in_fp32, put_layers, rounded_layers

STATES_TOLERANCE = 0.1
"""Most relative error of the states that a head reads, as a share of their spread over rows."""
RIDGE_TOLERANCE = 0.1
"""Most relative error of what a ridge head predicts from them, as a share of its own spread."""
_LEAST_GAIN = 1.1
"""Times that bf16 must be as fast as fp32, over the shapes together."""
_MOST_LOSS = 1.05
"""Times that it may take longer on one shape."""
_ROUNDS = 3
_WORK = 3e9  # multiply-adds of one timed pass, so that a large backbone is measured on fewer rows
_STEP_TOKENS, _ROW_TOKENS = 10, 256
_FIT_ROWS, _JUDGED_ROWS, _TOKENS = 96, 32, 24
_ALPHA = 0.1


@attrs.frozen(kw_only=True)
class Measured:
    """What the probe found."""

    precision: str
    """fp32 or bf16."""
    reason: str
    """Why, in a few words."""
    seconds: dict[str, dict[str, float]]
    """Shape -> precision -> seconds of one pass."""
    states_error: float | None = None
    """Relative error of states in bf16; None: not looked at, since bf16 is not faster."""
    ridge_error: float | None = None
    """Relative error of a ridge head's predictions in bf16."""

    def line(self) -> str:
        """Return what was found in one line."""
        ratios = [f"{shape} {s[FP32] / s[BF16]:.2f}" for shape, s in self.seconds.items()]
        text = f"{self.precision}: {self.reason}"
        if ratios:
            text += f" (speed of bf16 over fp32: {', '.join(ratios)})"
        if self.states_error is not None and self.ridge_error is not None:
            text += (
                f"; error in bf16: states {self.states_error:.2g} of {STATES_TOLERANCE:g}, ridge "
                f"{self.ridge_error:.2g} of {RIDGE_TOLERANCE:g}"
            )
        return text


def measure_precision(backbone: Backbone, looks_always: bool = False) -> Measured:
    """Choose the precision of a backbone that is loaded in fp32, and leave it in fp32.

    bf16 is taken where it is faster on short steps with a backward pass, as training on kept
    prefixes takes them, and on long rows, and where states and a ridge head stay within
    `STATES_TOLERANCE` and `RIDGE_TOLERANCE`.

    Args:
        backbone: In fp32.
        looks_always: Whether errors are measured even if bf16 is not faster.
    """
    rounded = rounded_layers(backbone.base)
    if not rounded:
        reason = "it has no plain linear layers"
        return Measured(precision=FP32, reason=reason, seconds={})
    rounded = {name: layer.to(backbone.device) for name, layer in rounded.items()}
    layers = {FP32: {n: backbone.base.get_submodule(n) for n in rounded}, BF16: rounded}
    try:
        seconds = _seconds(backbone, layers)
        is_faster, reason = _verdict(seconds)
        if not is_faster and not looks_always:
            return Measured(precision=FP32, reason=reason, seconds=seconds)
        states, ridge = _errors(backbone, layers)
    finally:
        put_layers(backbone.base, layers[FP32])
    is_close = states <= STATES_TOLERANCE and ridge <= RIDGE_TOLERANCE
    if is_faster and not is_close:
        reason = "bf16 is faster, but too inaccurate on this backbone"
    return Measured(
        precision=BF16 if is_faster and is_close else FP32,
        reason=reason,
        seconds=seconds,
        states_error=states,
        ridge_error=ridge,
    )


def _verdict(seconds: dict[str, dict[str, float]]) -> tuple[bool, str]:
    total = {kind: sum(times[kind] for times in seconds.values()) for kind in (FP32, BF16)}
    # each shape counts alike, whatever it takes
    gain = 1.0
    for times in seconds.values():
        gain *= (times[FP32] / times[BF16]) ** (1 / len(seconds))
    if gain < _LEAST_GAIN:
        return False, "bf16 is not faster here"
    if any(times[BF16] > _MOST_LOSS * times[FP32] for times in seconds.values()):
        return False, "bf16 is slower on some shapes here"
    return True, f"bf16 takes {total[BF16] / total[FP32]:.0%} of the time of fp32"


def _seconds(
    backbone: Backbone, layers: dict[str, dict[str, torch.nn.Module]]
) -> dict[str, dict[str, float]]:
    """Time passes in turns, the quickest of each: other load must not decide.

    On one thread, since threads that wait for each other would time the scheduler.
    """
    weights = backbone.num_matrix_weights
    row = min(_ROW_TOKENS, backbone.max_positions)
    short = max(1, min(32, int(_WORK / weights / _STEP_TOKENS)))
    long = max(1, min(4, int(_WORK / weights / row)))
    passes: dict[str, Callable[[], object]] = {
        f"{short} x {_STEP_TOKENS} tokens with backward": lambda: _step(backbone, short),
        f"{long} x {row} tokens": lambda: _states(backbone, _ids(backbone, long, row)),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fastest = {shape: dict.fromkeys(layers, float("inf")) for shape in passes}
        for shape, run in passes.items():
            for _ in range(_ROUNDS):
                for kind, own in layers.items():
                    put_layers(backbone.base, own)
                    began = time.perf_counter()
                    run()
                    if backbone.device.type == "cuda":
                        torch.cuda.synchronize(backbone.device)
                    taken = time.perf_counter() - began
                    fastest[shape][kind] = min(fastest[shape][kind], taken)
    finally:
        torch.set_num_threads(threads)
    return fastest


def slowdown(backbone: Backbone) -> float:
    """Return how many times as long a backbone in bf16 takes as it would in fp32.

    1 for a backbone in another precision, and on a GPU.
    """
    if backbone.precision != BF16 or backbone.device.type != "cpu":
        return 1.0
    ids = _ids(backbone, 4, min(16, backbone.max_positions))
    best = {FP32: float("inf"), BF16: float("inf")}
    for _ in range(_ROUNDS):
        for kind in best:
            with in_fp32(backbone.base) if kind == FP32 else contextlib.nullcontext():
                began = time.perf_counter()
                _states(backbone, ids)
                best[kind] = min(best[kind], time.perf_counter() - began)
    return best[BF16] / best[FP32]


def _ids(backbone: Backbone, rows: int, tokens: int) -> Tensor:
    """Return random token ids, always the same: int64 `(rows, tokens)`."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(backbone.vocab_size, (rows, tokens), generator=generator)
    return ids.to(backbone.device)


@torch.no_grad()
def _states(backbone: Backbone, ids: Tensor) -> Tensor:
    """Return hidden states of rows of tokens, `(rows, tokens, hidden)`."""
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    return backbone.hidden_states(backbone.embed(ids), None, positions, may_run_again=False)


def _step(backbone: Backbone, rows: int) -> None:
    ids = _ids(backbone, rows, _STEP_TOKENS)
    embedded = backbone.embed(ids).detach().requires_grad_(True)
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    with torch.enable_grad():
        states = backbone.hidden_states(embedded, None, positions, may_run_again=False)
        states.square().sum().backward()  # type: ignore[no-untyped-call]


def _errors(
    backbone: Backbone, layers: dict[str, dict[str, torch.nn.Module]]
) -> tuple[float, float]:
    """Return the relative errors in bf16 of states and of a ridge head's predictions.

    Rows of random tokens end in the same few ones, as in a function tag. The head predicts a fixed
    random share of the embeddings of a row's tokens, which the last state holds in part.
    """
    count = _FIT_ROWS + _JUDGED_ROWS
    ids = _ids(backbone, count, min(_TOKENS, backbone.max_positions))
    ids[:, -4:] = ids[:1, -4:]
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(backbone.hidden_size, 4, generator=generator)
    targets = backbone.embed(ids).float().mean(dim=1).cpu() @ direction  # (rows, 4)
    targets = (targets - targets.mean(dim=0)) / targets.std(dim=0).clamp_min(1e-12)
    states, predictions = {}, {}
    for kind, own in layers.items():
        put_layers(backbone.base, own)
        rounded = _states(backbone, ids)[:, -1].float().cpu()  # (rows, hidden)
        _, weights, offsets = solve_ridge(rounded[:_FIT_ROWS], targets[:_FIT_ROWS], (_ALPHA,))[0]
        states[kind] = rounded
        predictions[kind] = rounded[_FIT_ROWS:] @ weights.T + offsets
    return _relative(states[BF16], states[FP32]), _relative(predictions[BF16], predictions[FP32])


def _relative(approximate: Tensor, exact: Tensor) -> float:
    """Return the error as a share of the spread of what is exact over the rows."""
    spread = (exact - exact.mean(dim=0)).norm().clamp_min(1e-12)
    return float((approximate - exact).norm() / spread)
