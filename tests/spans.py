"""Rows of several spans on a tiny backbone, whole and on cached segments, for tests."""

from toy_plugin import DigitsEncoder, LettersEncoder

from taglm_core.encoders import TextEncoder
from taglm_core.model.assembly import Assembler
from taglm_core.model.collate import collate
from taglm_core.model.prefix_cache.cached_rows import CachedRows
from taglm_core.model.prefix_cache.rotary import find_rotation
from taglm_core.model.prefix_cache.storage import SegmentStore
from taglm_core.model.symbols import symbol_rows
from taglm_core.model.tagged import LAST, TaggedModel
from taglm_core.model.tags import initial_tag
from taglm_core.specs.prompt import parse_template
from taglm_core.testing import tiny_backbone

TWO = "A string <Letters>{letters} with <Digits>{digits}. So <Value>"
THREE = "<Letters>{letters}<Digits>{digits} then <Letters>{other}; {note}<Value>"
ROWS = {
    "letters": ["abba", "c", "abcab" * 9, "c", "abba", "c", "abba"],
    "digits": ["1", "10110" * 12, "0", "1", "10110" * 12, "0", "0"],
    "other": ["b", "ab", "b", "ab", "b", "ccc", "b"],
    "note": ["x", "x", "yy", "x", "x", "zzz", "x"],
}
ROPE = {"rope_theta": 10000.0, "original_max_position_embeddings": 64}
VARIANTS = {
    "llama": ("llama", {}),
    "llama linear": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, **ROPE}}),
    "llama llama3": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                **ROPE,
            }
        },
    ),
    "llama with all heads": ("llama", {"num_key_value_heads": 4}),
    "llama with one key head": ("llama", {"num_key_value_heads": 1}),
    "qwen2": ("qwen2", {}),
    "qwen2 yarn": ("qwen2", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, **ROPE}}),
    "qwen3": ("qwen3", {}),
    "mistral": ("mistral", {}),
    "gemma": ("gemma", {}),
    "gpt_neox": ("gpt_neox", {}),  # turns a quarter of each head
}


def build(variant="llama", template=TWO, adds_bos=False, fields=ROWS):
    """Return a tagged model and assembled rows of a template with several spans."""
    architecture, changes = VARIANTS.get(variant, (variant, {}))
    backbone = tiny_backbone(architecture, adds_bos=adds_bos, **changes)
    model = TaggedModel(backbone)
    encoders = {"t/Letters": LettersEncoder(), "t/Digits": DigitsEncoder()}
    for name, encoder in encoders.items():
        model.add_table(name, symbol_rows(backbone, encoder.spellings))
    for name in ("t/Letters", "t/Digits", "t/Value"):
        model.add_tag(name, initial_tag(backbone, name, 5, "vocabulary", 0))
    names = {"Letters": "t/Letters", "Digits": "t/Digits"}
    assembler = Assembler(
        layout=model.layout,
        prompt=parse_template(template, "Value"),
        text=TextEncoder(backbone.tokenizer),
        encoders=encoders,
        domain_of=names,
        tag_of=names,
        function_tag="t/Value",
        bos_ids=backbone.bos_ids,
        is_isolated=True,
    )
    return model, assembler.assemble(fields)


def whole(model, rows, pooling=LAST, **how):
    """Return what the head reads of whole rows."""
    return model.read(collate(rows, range(len(rows)), True, **how), pooling)


def reused(model, rows, limit=10**9, pooling=LAST, **how):
    """Return what it reads on kept segments, and the store."""
    store = CachedRows(model, rows, True, find_rotation(model.backbone), SegmentStore(limit), **how)
    store.fill()
    states, batch = store.states(range(len(rows)))
    return pooling.of_states(states, batch.read), store
