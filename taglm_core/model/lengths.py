"""Which prompts are too long for a backbone."""

from collections.abc import Sequence

from taglm_core.model.backbone import Backbone


def check_lengths(
    lengths: Sequence[int], backbone: Backbone, is_isolated: bool
) -> list[str | None]:
    """Say which prompts are too long for the backbone.

    Args:
        lengths: Tokens of each prompt.
        backbone: The backbone.
        is_isolated: True when spans are isolated by a mask; then layers with a sliding window
            would see everything, so prompts beyond the window are refused.

    Returns:
        One entry a prompt: None or what is wrong.
    """
    limit = backbone.max_positions
    why = f"the backbone '{backbone.name}' takes {limit}"
    if is_isolated and backbone.window is not None and backbone.window < limit:
        limit = backbone.window
        why = f"isolated attention on '{backbone.name}' takes its window of {limit}"
    return [
        None if length <= limit else f"too long: {length} tokens, but {why}" for length in lengths
    ]
