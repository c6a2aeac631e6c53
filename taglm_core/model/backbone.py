"""The frozen backbone: loading, its facts, its fingerprint, and one plain forward.

No subclass of a transformers model: the backbone is used through `get_input_embeddings` (called,
never indexed), `get_output_embeddings`, the base model's forward and the Cache classes.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from taglm_core.errors import BackboneError
from taglm_core.model.checkpointing import Checkpoints
from taglm_core.model.fingerprint import Fingerprint
from taglm_core.model.layer_hooks import LayerHooks, active, is_acting
from taglm_core.model.precision import BF16, FP32, in_fp32, put_layers, rounded_layers
from taglm_core.model.quantized import packed_weights, quantized_layers

logger = logging.getLogger(__name__)

_PROBE_TEXT = "The quantitative estimate of the molecule CCO is 0.41; a b c 1 2 3."
_PROBE_TOKENS = 24


class Backbone:
    """A frozen causal LM with its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        """Freeze a model; its parameters need no gradients from now on.

        Args:
            model: A causal LM of transformers.
            tokenizer: Its tokenizer.
            name: Name, folder or Hub id, for messages and artifacts.
        """
        self.model: Any = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.base: Any = self.model.base_model
        """The model without its output matrix."""
        config: Any = self.model.config
        self.config: Any = (
            config.get_text_config() if hasattr(config, "get_text_config") else config
        )
        """Settings of the language model, also where it is a part of a larger one."""
        embedding = self.model.get_input_embeddings()
        self.hidden_size = int(embedding.weight.shape[1])
        self.vocab_size = int(embedding.weight.shape[0])
        """Rows of the embedding matrix, which may be more than the tokenizer has tokens."""
        self.device = embedding.weight.device
        """Where rows are given to it."""
        self.dtype = embedding.weight.dtype
        self.precision = FP32
        """What the linear layers are computed or kept in, one of `PRECISIONS`."""
        self.checkpoints = Checkpoints(self.model, name)
        self.content: str | None = None
        """Hash of what is stored of it; None: made in memory, its tensors are hashed if asked."""
        self.division: Any = None
        """How its layers are divided, see `divided`; None: all of it is on `device`."""
        self.num_outside = 0
        """How many layers lie elsewhere than on `device`."""
        self.reads_again: Callable[[], contextlib.AbstractContextManager[Any]] = (
            contextlib.nullcontext
        )
        """Context of a forward pass whose backward pass reads weights that lie elsewhere again."""
        self.files: Any = None
        """Temporary folder of the layers that lie on disk."""
        self._compiled: Any = None
        self._scale_of_table: tuple[float, float] | None = None

    @property
    def is_divided(self) -> bool:
        """Whether layers lie elsewhere than on `device`."""
        return self.division is not None

    @property
    def max_positions(self) -> int:
        """Longest sequence in tokens that the backbone was made for."""
        return int(getattr(self.config, "max_position_embeddings", 0) or 1_000_000)

    @property
    def window(self) -> int | None:
        """Sliding attention window in tokens, None when every layer sees everything."""
        window = getattr(self.config, "sliding_window", None)
        if not window or getattr(self.config, "use_sliding_window", True) is False:
            return None
        kinds = getattr(self.config, "layer_types", None)
        if kinds is not None and not any("sliding" in kind for kind in kinds):
            return None
        return int(window)

    @property
    def bos_ids(self) -> list[int]:
        """Ids that the tokenizer puts before a text by itself (a BOS), usually none or one."""
        plain = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        start = len(full) - len(plain)
        bos = self.tokenizer.bos_token_id
        return full[:1] if start > 0 and bos is not None and full[0] == bos else []

    @property
    def end_id(self) -> int:
        """Id that ends a text.

        Raises:
            BackboneError: when the tokenizer names none.
        """
        for value in (self.tokenizer.eos_token_id, getattr(self.config, "eos_token_id", None)):
            if value is not None:
                return int(value[0] if isinstance(value, list) else value)
        raise BackboneError(
            f"backbone '{self.name}': its tokenizer names no end-of-text token; set eos_token in "
            "tokenizer_config.json."
        )

    def use_bf16(self) -> None:
        """Round the weights of the linear layers to bf16 and multiply in it from now on.

        Raises:
            BackboneError: when it has no plain linear layers, as a quantized model.
        """
        layers = rounded_layers(self.base)
        self._put_layers(layers, BF16, " (quantized models have an arithmetic of their own)")
        rounded = {id(weight) for layer in layers.values() for weight in layer.parameters()}
        for held in (*self.model.parameters(), *self.model.buffers()):
            if id(held) not in rounded and held.is_floating_point():
                held.data = held.data.float()
        self.dtype = torch.float32

    def use_precision(self, precision: str) -> None:
        """Put the linear layers of a backbone that is in fp32 into a precision.

        Raises:
            BackboneError: when it has no plain linear layers.
        """
        if precision == BF16:
            self.use_bf16()
        elif precision != FP32:
            layers = quantized_layers(self.base, precision)
            self._put_layers(layers, precision, ", so none is packed")

    def _put_layers(self, layers: dict[str, torch.nn.Module], precision: str, why: str) -> None:
        """Put layers of a precision in the place of the plain ones; none at all is an error."""
        if not layers:
            raise BackboneError(
                f"backbone '{self.name}': none of its layers is a plain linear layer{why}. Set "
                "precision=fp32."
            )
        if self.content is None:
            self.content = self.checksum()[:16]  # of the weights before they change
        put_layers(self.base, layers)
        self.precision = precision

    @functools.cached_property
    def layer_hooks(self) -> LayerHooks:
        """Where tags act in the layers; made at the first use.

        Raises:
            BackboneError: when the layers are not found.
        """
        return LayerHooks(self.base, int(self.config.num_hidden_layers), self.name)

    @property
    def num_parameters(self) -> int:
        """Number of weights, packed ones too."""
        own = int(sum(p.numel() for p in self.model.parameters()))
        return own + packed_weights(self.model)

    @property
    def num_matrix_weights(self) -> int:
        """Number of weights in matrices of the base model, embeddings and packed ones too."""
        own = int(sum(p.numel() for p in self.base.parameters() if p.dim() == 2))
        return own + packed_weights(self.base)

    def move_to(self, device: torch.device) -> None:
        """Move the weights to a device."""
        self.model.to(device)
        self.device = device

    def embed(self, token_ids: Tensor) -> Tensor:
        """Return what the embedding module gives (Gemma scales inside it).

        Args:
            token_ids: `(...,)` ids of the LM's vocabulary.

        Returns:
            `(..., hidden)`.
        """
        embedded: Tensor = self.model.get_input_embeddings()(token_ids)
        return embedded

    def embedding_scale(self) -> tuple[float, float]:
        """Return the mean norm and the root mean square of the vocabulary's embedding rows."""
        if self._scale_of_table is None:
            with torch.no_grad():
                table = self.embedding_rows()
                norm = float(table.norm(dim=1).mean())
                rms = float(table.pow(2).mean().sqrt())
            self._scale_of_table = (norm, rms)
        return self._scale_of_table

    @torch.no_grad()
    def embedding_rows(self) -> Tensor:
        """Return every vocabulary row as the embedding module gives it, fp32 `(vocab, hidden)`."""
        ids = torch.arange(self.vocab_size, device=self.device)
        return torch.cat([self.embed(part).float() for part in torch.split(ids, 16_384)])

    def hidden_states(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        cache: Any = None,
        may_run_again: bool = True,
    ) -> Tensor:
        """Run the base model; no vocabulary logits.

        Args:
            inputs_embeds: `(batch, seq, hidden)`.
            attention_mask: None: plain causal. Int `(batch, past + seq)`: 1 for real positions.
                Float `(batch, 1, seq, past + seq)`: added to the attention scores.
            position_ids: int `(batch, seq)`.
            cache: A transformers Cache that holds `past` positions and is appended to; None: none.
            may_run_again: Whether the pass may be compiled, and `checkpoints` decides if layers are
                run again in the backward pass; False: it is run once and as it is.

        Returns:
            Last hidden states after the final norm, fp32 `(batch, seq, hidden)`.
        """
        is_whole = cache is None and may_run_again
        if is_whole and self.checkpoints.are_wanted(inputs_embeds, self._run_short):
            with self.checkpoints.active():
                return self._run(self.base, inputs_embeds, attention_mask, position_ids)
        compiled = self._compiled if is_whole and not is_acting() else None
        module = self.base if compiled is None else compiled
        return self._run(module, inputs_embeds, attention_mask, position_ids, cache)

    def _run(
        self,
        module: Any,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        cache: Any = None,
    ) -> Tensor:
        with self.reads_again():
            output = module(
                inputs_embeds=inputs_embeds.to(self.dtype),
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=cache,
                use_cache=cache is not None,
            )
        states: Tensor = output.last_hidden_state
        return states.float()

    def _run_short(self, embedded: Tensor) -> Tensor:
        """Run a row without a mask, to see what it keeps; no tag acts in it."""
        positions = torch.arange(embedded.shape[1], device=embedded.device)
        with active(None):
            return self._run(self.base, embedded, None, positions.expand(embedded.shape[:2]))

    def compile(self) -> None:
        """Let torch compile passes of whole rows.

        Those on cached segments, and those in which tags act in the layers, run as they are.

        Raises:
            BackboneError: when the machine has no C++ compiler, which this needs on a CPU, or the
                backbone is divided.
        """
        if self.is_divided:
            raise BackboneError(
                f"backbone '{self.name}': layers in host memory or on disk cannot be compiled. Set "
                "compile=off, or a device that holds all of it."
            )
        names = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
        if self.device.type == "cpu" and not any(shutil.which(name) for name in names if name):
            raise BackboneError(
                "compile=on needs a C++ compiler (g++ or clang++), but none is found. Install one, "
                "or set compile=off."
            )
        self._compiled = torch.compile(self.base)

    def logits(self, states: Tensor) -> Tensor:
        """Return the LM's own logits for hidden states: `(..., hidden)` to `(..., vocab)`."""
        return self.scale_logits(self.model.get_output_embeddings()(states))

    def scale_logits(self, logits: Tensor) -> Tensor:
        """Apply the scaling and soft-cap that some architectures put after their output matrix."""
        config = self.config
        logits = logits * float(getattr(config, "logit_scale", None) or 1.0)  # Cohere
        logits = logits / float(getattr(config, "logits_scaling", None) or 1.0)  # Granite
        cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
        return torch.tanh(logits / cap) * cap if cap else logits

    @torch.no_grad()
    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of this backbone."""
        ids = self.tokenizer(_PROBE_TEXT, add_special_tokens=False)["input_ids"]
        config = self.config
        shape = "/".join(
            str(part)
            for part in (
                config.model_type,
                self.hidden_size,
                config.num_hidden_layers,
                config.num_attention_heads,
                self.vocab_size,
            )
        )
        special = [self.tokenizer.eos_token_id, self.tokenizer.bos_token_id]
        hashed = hashlib.sha256(json.dumps([ids, special]).encode()).hexdigest()[:16]
        # ids that need no tokenizer, so that the outputs say something of the weights alone
        probe = (torch.arange(_PROBE_TOKENS) * 37 + 11) % self.vocab_size
        probe = probe.unsqueeze(0).to(self.device)
        positions = torch.arange(_PROBE_TOKENS, device=self.device).unsqueeze(0)
        with in_fp32(self.base):  # in either precision it is the same backbone
            states = self.hidden_states(self.embed(probe), torch.ones_like(probe), positions)
        values = states[0, -4:, :].float().flatten()[:64].cpu()
        unit = values / values.norm().clamp_min(1e-12)
        if self.content is None:
            self.content = self.checksum()[:16]
        return Fingerprint(
            shape=shape, tokenizer=hashed, probe=tuple(unit.tolist()), content=self.content
        )

    def checksum(self) -> str:
        """Return a hash of every weight, to prove that training left them alone."""
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            raw = value.detach().cpu().contiguous().view(-1).view(torch.uint8)
            digest.update(raw.numpy().tobytes())
        return digest.hexdigest()
