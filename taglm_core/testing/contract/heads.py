"""Checks of heads, on the hidden states of a tiny random backbone."""

from typing import Any

from taglm_core.specs.reference import resolve
from taglm_core.testing.contract.context import Context, Subject
from taglm_core.testing.contract.outcomes import demand
from taglm_core.testing.contract.report import Rule

_STEPS = 400
_ROWS = 8
_FIT = 0.05
"""Share of the targets' variance that may be left after fitting 8 rows."""


def shape(subject: Subject) -> None:
    """`(batch, hidden)` becomes finite numbers of shape `(batch, num_outputs)`."""
    import torch

    states = _states(subject.context)
    for outputs in (1, 3):
        for batch in (1, len(states)):
            preds = _head(subject, outputs)(states[:batch])
            actual = tuple(preds.shape)
            demand(
                actual == (batch, outputs),
                f"the head with {outputs} outputs gives the shape {actual} for {batch} rows; give "
                f"({batch}, {outputs}).",
            )
            demand(
                preds.dtype == torch.float32,
                f"the head gives {preds.dtype}; give float32 (`states.float()` at its start).",
            )
            demand(bool(torch.isfinite(preds).all()), "a new head gives NaN or infinity.")


def row_alone(subject: Subject) -> None:
    """A row gives the same alone as in a batch, once the head is in evaluation mode."""
    import torch

    states = _states(subject.context)
    head = _head(subject, 2).eval()
    with torch.no_grad():
        together = head(states)
        for row in range(len(states)):
            demand(
                torch.allclose(head(states[row : row + 1])[0], together[row], atol=1e-4),
                "a row gives other outputs alone than in a batch. Use no statistics of the batch "
                "(BatchNorm) outside training; LayerNorm works row by row.",
            )


def gradient(subject: Subject) -> None:
    """Training reaches every parameter within a few steps."""
    import torch

    head = _head(subject, 2)
    named = dict(head.named_parameters())
    demand(bool(named), "the head has no parameter, so there is nothing to train.")
    reached: set[str] = set()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    states, targets = _states(subject.context), _targets(2)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(head(states), targets).backward()  # type: ignore[no-untyped-call]
        reached |= {n for n, p in named.items() if p.grad is not None and bool(p.grad.any())}
        optimizer.step()
    lost = sorted(set(named) - reached)
    demand(
        not lost,
        f"no gradient reaches {', '.join(lost)}. Use the parameter in `forward`, without "
        "`detach` or `no_grad`, or leave it out.",
    )


def overfits(subject: Subject) -> None:
    """The head can fit eight rows of hidden states of a tiny backbone."""
    import torch

    states, targets = _states(subject.context), _targets(2)
    head = _head(subject, 2).train()
    if hasattr(head, "adapt_to"):
        head.adapt_to(states)
    optimizer = torch.optim.Adam(head.parameters(), lr=2e-2)
    # with units left out at random the last steps must be small ones
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(head(states), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    left = float(torch.nn.functional.mse_loss(head.eval()(states).detach(), targets))
    share = left / float(targets.var(unbiased=False))
    demand(
        share < _FIT,
        f"after {_STEPS} steps on {len(states)} rows {share:.0%} of the variance is left, more "
        f"than {_FIT:.0%}. A head that cannot fit these learns nothing: look at what its outputs "
        "can reach and whether all of the state is used.",
    )


def state_kept(subject: Subject) -> None:
    """A new head with the saved state gives the same outputs."""
    import torch

    states = _states(subject.context)
    first, second = _head(subject, 2).eval(), _head(subject, 2).eval()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        second.load_state_dict(first.state_dict())
        demand(
            torch.allclose(first(states), second(states), atol=1e-6),
            "a head loaded from the saved state gives other outputs. Keep everything that decides "
            "them in parameters or buffers.",
        )


CHECKS = (Rule(shape), Rule(row_alone), Rule(gradient), Rule(overfits), Rule(state_kept))


def _head(subject: Subject, outputs: int) -> Any:
    """Build a head under a fixed seed, leaving the global generator as it was."""
    import torch

    build = resolve(subject.spec.module, f"head {subject.item.name}")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = build(_states(subject.context).shape[1], outputs)
    demand(
        isinstance(head, torch.nn.Module),
        f"`module` gives {type(head).__name__}; give a torch.nn.Module.",
    )
    return head


def _states(context: Context) -> Any:
    """Return hidden states of a tiny backbone, fp32 `(rows, hidden)`."""

    def make() -> Any:
        import torch

        from taglm_core.testing.tiny import tiny_backbone

        backbone = tiny_backbone()
        texts = [f"{'abcdefgh'[i]}{'zyxwvuts'[-i]}{i}" for i in range(_ROWS)]
        ids = torch.tensor(backbone.tokenizer(texts)["input_ids"])
        with torch.no_grad():
            states = backbone.base(input_ids=ids).last_hidden_state  # (batch, seq, hidden)
        return states[:, -1].float()  # (batch, hidden)

    return context.once("states", make)


def _targets(outputs: int) -> Any:
    import torch

    generator = torch.Generator().manual_seed(1)
    return torch.randn(_ROWS, outputs, generator=generator)
