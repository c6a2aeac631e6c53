"""The work of large jobs on a backbone: multiply-adds and bytes, and what they take at a pace."""

import math

import attrs
import numpy as np
from measure import CLOCKS, Clock

from taglm_core.model.backbone import Backbone
from taglm_core.model.backbone_facts import speed_of, weight_bytes
from taglm_core.model.prefix_cache import bytes_per_token
from taglm_core.model.prefix_cache.cost_model import ForwardCost
from taglm_core.model.prefix_cache.segments import divide_rows
from taglm_core.model.taskmodel import TaskModel
from taglm_core.training.config import DomainStageConfig
from taglm_core.training.estimate import working_bytes

BATCH_TOKENS = 8192
"""Tokens of a batch of prediction, and at most of a step."""
_ROW, _WORK = 128, 2e9  # tokens of the rows of a timed pass, and its multiply-adds


@attrs.frozen(kw_only=True)
class Costs:
    """What a backbone costs, from its shape alone."""

    forward: ForwardCost
    token_bytes: int
    """Bytes of keys and values of a cached token."""
    weight_bytes: int
    hidden: int
    output: float
    """Multiply-adds of the output matrix, for one token that is written."""
    working: float
    """Bytes that a token of a training step holds for its backward pass, roughly."""

    @classmethod
    def of(cls, backbone: Backbone) -> "Costs":
        """Count those of a backbone."""
        return cls(
            forward=ForwardCost.of(backbone),
            token_bytes=bytes_per_token(backbone, backbone.dtype.itemsize),
            weight_bytes=weight_bytes(backbone)["fp32"],
            hidden=backbone.hidden_size,
            output=float(backbone.vocab_size * backbone.hidden_size),
            working=working_bytes(backbone, 1),
        )

    def tag_bytes(self, tags: float, tag_length: int) -> float:
        """Return what learned tags take in fp32."""
        return 4.0 * tags * tag_length * self.hidden


@attrs.frozen(kw_only=True)
class Pace:
    """Multiply-adds a second."""

    forward: float
    trained: float
    """Of the forward pass, in forward and backward passes."""

    @classmethod
    def measured(
        cls, backbone: Backbone, costs: Costs, clock: Clock, seconds: float = 1.0
    ) -> "Pace":
        """Time passes over rows of 128 tokens, as `taglm backbone show` does."""
        speed = speed_of(backbone, _ROW, _WORK, seconds, CLOCKS[clock.name])
        each = float(costs.forward.run(np.array([_ROW]))[0]) / _ROW
        return cls(forward=speed.forward * each, trained=speed.backward * each)


@attrs.frozen(kw_only=True)
class Tokens:
    """Tokens of a pair's segments, tags and words of the prompt included."""

    molecule: int
    """The first segment, computed once a molecule."""
    protein: int
    """The second, computed once a protein."""
    suffix: int
    """What is computed for each pair: the last words and the function tag."""

    @classmethod
    def of(cls, task_model: TaskModel, symbols: int, residues: int) -> "Tokens":
        """Count those of a molecule of some symbols against a protein of some residues."""
        rows = task_model.assemble({"smiles": ["C" * symbols], "target": ["A" * residues]})
        bounds = divide_rows(rows, is_movable=True, with_text=False).boundaries[0]
        sizes = np.diff([*bounds, rows.lengths[0]])
        return cls(molecule=int(sizes[0]), protein=int(sizes[1]), suffix=int(sizes[2]))


@attrs.frozen(kw_only=True)
class Job:
    """A job by its work."""

    name: str
    work: float
    """Multiply-adds."""
    trains: bool = False
    cache: float = 0.0
    """Bytes of cached segments that must be held for this work to be done once."""
    memory: float = 0.0
    """Other bytes beside the weights: tags, a batch."""
    molecules: float = 0.0
    """Molecules that are read, checked and encoded."""

    def seconds(self, pace: Pace) -> float:
        """Return what one device takes."""
        return self.work / (pace.trained if self.trains else pace.forward)


def screen(
    molecules: float, proteins: float, tokens: Tokens, costs: Costs, limit: float, name: str = ""
) -> Job:
    """Every molecule against every protein.

    The cache holds proteins, as many at a time as its limit allows; molecules come one after the
    other, once for each such block.

    Args:
        molecules: How many.
        proteins: How many.
        tokens: Of a pair.
        costs: Of the backbone.
        limit: Bytes of the cache.
        name: Of the job.
    """
    need = proteins * tokens.protein * costs.token_bytes
    blocks = max(1, math.ceil(need / limit))
    once = costs.forward.run(np.array([tokens.molecule, tokens.protein]))
    before = tokens.molecule + tokens.protein
    pair = float(costs.forward.run(np.array([tokens.suffix]), before)[0])
    each = blocks * molecules * once[0] + proteins * once[1]
    return Job(
        name=name or f"{proteins:,.0f} proteins x {molecules:,.0f} molecules",
        work=float(each + molecules * proteins * pair),
        cache=need / blocks + BATCH_TOKENS * costs.token_bytes,
        molecules=blocks * molecules,
    )


def domain_tags(
    name: str, tags: float, rows: float, length: int, costs: Costs, size: int, output: float
) -> Job:
    """Train domain tags, each on rows of its own for one epoch, at the defaults of stage 1.

    Args:
        name: Of the job.
        tags: How many.
        rows: Rows that each is trained on.
        length: Tokens of a row, its tag and words included.
        costs: Of the backbone.
        size: Tokens of a tag.
        output: Multiply-adds of the softmax for a token, over symbols or over the vocabulary.
    """
    defaults = DomainStageConfig()
    work = float(costs.forward.run(np.array([length]))[0]) + output * length
    step = min(defaults.batch_size * length, defaults.batch_tokens)
    return Job(
        name=name,
        work=tags * rows * defaults.epochs * work,
        trains=True,
        memory=costs.tag_bytes(tags, size) + step * costs.working,
    )


def texts(name: str, count: float, prompt: int, written: int, costs: Costs) -> Job:
    """Write texts.

    Args:
        name: Of the job.
        count: Texts.
        prompt: Tokens of a prompt.
        written: Tokens of a text.
        costs: Of the backbone.
    """
    each = float(costs.forward.run(np.array([prompt + written]))[0]) + written * costs.output
    return Job(name=name, work=count * each, cache=BATCH_TOKENS * costs.token_bytes)
