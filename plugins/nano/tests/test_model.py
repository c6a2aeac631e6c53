"""The shipped weights: form, size, and that they have learned."""

import math
import random

import pytest

# Upper bounds, in nats a token, well above what the finished model reaches.
TEXT = "The man opened the door of the house and looked at her for a long time without a word."
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
# Of similar size, no two-letter elements and no stereo marks.
SMILES = (
    ASPIRIN,
    "CN1C(=O)N(C)c2ncn(C)c2C1=O",
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
    "CC(=O)Nc1ccc(O)cc1",
    "NS(=O)(=O)c1ccc(N)cc1",
    "CCN(CC)CCOC(=O)c1ccc(N)cc1",
    "OCC1OC(O)C(O)C(O)C1O",
    "c1ccc2c(c1)Cc1ccccc1-2",
    "O=C(O)CCCCCCCCC(=O)O",
    "FC(F)(F)c1cccc(N2CCNCC2)c1",
    "Cn1cnc2ccccc21",
    "N#Cc1ccc(C=O)cc1",
)


def loss(lm, ids):
    """Mean next-token loss of one row in nats."""
    torch = pytest.importorskip("torch")
    row = torch.tensor([ids])
    with torch.no_grad():
        return float(lm(row, labels=row).loss)


def test_weights_stay_small(weights):
    """The wheel must stay under 12 MB, and weights are most of it."""
    sizes = {path.name: path.stat().st_size for path in weights.iterdir()}
    assert sum(sizes.values()) < 12_000_000, sizes


def test_weights_are_bf16_safetensors(weights):
    """Half the size of fp32, and nothing is unpickled."""
    safetensors = pytest.importorskip("safetensors")
    with safetensors.safe_open(weights / "model.safetensors", framework="pt") as tensors:
        kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    assert {"BF16"} == kinds


def test_configuration(lm):
    """The shape is frozen: artifacts belong to it."""
    config = lm.config
    assert "llama" == config.model_type
    assert (320, 6, 10, 2, 3072) == (
        config.hidden_size,
        config.num_hidden_layers,
        config.num_attention_heads,
        config.num_key_value_heads,
        config.vocab_size,
    )
    assert 8192 == config.max_position_embeddings
    assert config.tie_word_embeddings
    assert lm.get_input_embeddings().weight is lm.get_output_embeddings().weight


def test_forward_pass_equals_the_training_code(lm, training_module):
    """What was trained is what transformers runs."""
    torch = pytest.importorskip("torch")
    model = training_module("model")
    named = dict(lm.named_parameters())
    shape = model.Shape()
    flat = torch.cat([named[name].detach().reshape(-1) for name, _ in model.layout(shape)])
    ids = torch.arange(2, 66).view(2, 32)
    with torch.no_grad():
        expected = lm.model(ids).last_hidden_state
        actual = model.hidden_states(model.fused_views(flat, shape), ids, *model.rope_tables())
    torch.testing.assert_close(actual, expected, atol=2e-4, rtol=1e-4)


def test_english_is_likely(lm, tokenizer):
    """A plain sentence is far more likely than chance and than its words turned round."""
    straight = loss(lm, tokenizer(TEXT).input_ids)
    turned = loss(lm, tokenizer(" ".join(reversed(TEXT.split()))).input_ids)
    assert straight < 4.6
    assert straight < turned


def test_smiles_are_likely(lm, tokenizer):
    """Aspirin spelled symbol by symbol costs less than 0.9 nats a symbol."""
    assert loss(lm, tokenizer.convert_tokens_to_ids(list(ASPIRIN))) < 0.9


def test_residues_beat_a_uniform_guess(lm, tokenizer):
    """A protein costs less than log 20 nats a residue: at least the frequencies are known."""
    ubiquitin = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    assert loss(lm, tokenizer.convert_tokens_to_ids(list(ubiquitin))) < math.log(20)


def test_greedy_continuation_is_a_valid_number(lm, tokenizer):
    """After a molecule and the question for its rings, the model answers with a digit."""
    torch = pytest.importorskip("torch")
    ids = tokenizer.convert_tokens_to_ids(list(ASPIRIN))
    ids += tokenizer(". The number of rings is").input_ids
    answer = lm.generate(torch.tensor([ids]), max_new_tokens=3, do_sample=False)[0, len(ids) :]
    assert tokenizer.decode(answer).strip(" .").isdigit()


def test_spellings_of_one_molecule_are_neighbors(lm, tokenizer, training_module):
    """The states behind two spellings are closer than those behind other molecules."""
    torch = pytest.importorskip("torch")
    respell = training_module("respell").respell
    rng = random.Random(3)
    states = []
    for spelled in (SMILES, [respell(smiles, rng) for smiles in SMILES]):
        rows = [tokenizer.convert_tokens_to_ids(list(smiles)) for smiles in spelled]
        with torch.no_grad():
            found = [lm.model(torch.tensor([ids])).last_hidden_state[0, -1] for ids in rows]
        states.append(torch.stack(found) - torch.stack(found).mean(0))
    nearest = torch.nn.functional.normalize(states[0]) @ torch.nn.functional.normalize(states[1]).T
    right = nearest.argmax(1) == torch.arange(len(SMILES))
    assert right.float().mean() >= 0.8, right.tolist()
