"""Members of an ensemble: function tags and heads of several seeds on one backbone."""

from collections.abc import Mapping

import attrs
from torch import Tensor, nn

from taglm_core.model.features import FeatureReader
from taglm_core.model.targets import Scaling


@attrs.frozen(eq=False, kw_only=True)
class EnsembleMember:
    """What differs between the members of an ensemble."""

    tag: Tensor
    """`(tag_length, hidden)`: the function tag."""
    inner: Mapping[str, Tensor] = attrs.field(factory=dict)
    """What the tag has in the layers, by place."""
    head: nn.Module
    scaling: Scaling
    features: FeatureReader | None = None
    """What the head reads beside the states; None: nothing."""
