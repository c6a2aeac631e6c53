"""The embedded backbone of taglm: a small causal language model shipped as package data.

Only the places of the weights and of trained tags live here; `CARD.md` beside this file says what
the model has read. Importing this package imports neither torch nor taglm.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from taglm_core import Backbone, TagFolder

__all__ = ["folder", "hookimpl", "register_backbones", "register_tag_folders", "tags"]

hookimpl = pluggy.HookimplMarker("taglm")


def folder() -> Path:
    """Return the folder that holds the model in Hugging Face format."""
    return Path(__file__).parent / "weights"


def tags() -> Path:
    """Return the folder of domain tags that were trained for the model."""
    return Path(__file__).parent / "tags"


@hookimpl
def register_backbones() -> "list[Backbone]":
    """Offer the embedded model under the name `nano`."""
    from taglm_core import Backbone

    return [
        Backbone(
            name="nano",
            path="taglm_nano:folder",
            description=(
                "Llama, 5.4 million parameters, trained on SMILES, proteins and eight languages; "
                "runs on any CPU"
            ),
            license="Apache-2.0",
        )
    ]


@hookimpl
def register_tag_folders() -> "list[TagFolder]":
    """Offer the default tags of molecules and proteins, so that a first run trains neither."""
    from taglm_core import TagFolder

    return [
        TagFolder(
            name="defaults",
            path="taglm_nano:tags",
            description="<SMILES> and <Protein> on nano, by the default settings, fp32",
        )
    ]
