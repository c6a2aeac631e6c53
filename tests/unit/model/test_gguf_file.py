"""GGUF files are backbones: checked, unpacked, hashed; predictors pass to the original weights."""

import importlib.util
import logging
import os
import struct

import numpy as np
import pytest
import torch
import transformers
from gguf_files import wide_backbone, write_gguf
from small_runs import PLAIN, SHARE, run, write_table

from taglm_core.errors import BackboneError, UnknownNameError
from taglm_core.inference.loading import load_predictor
from taglm_core.model import gguf_file, gguf_header
from taglm_core.model.backbone_folder import content_of
from taglm_core.model.backbone_loading import load_backbone, locate
from taglm_core.model.gguf_header import read_header, type_names
from taglm_core.plugins import load_registry
from taglm_core.store.artifact import find_artifact, load_artifact


@pytest.fixture(scope="module")
def registry():
    """Return a registry with the core's own registrations."""
    return load_registry(only=())


@pytest.fixture(scope="module")
def original():
    """Return the backbone whose weights the files hold."""
    return wide_backbone()


@pytest.fixture
def file(tmp_path, original):
    """Write the backbone unquantized; return the file."""
    return write_gguf(tmp_path / "model.gguf", original)


def refusal(name, registry):
    """Return the message with which a backbone is refused."""
    with pytest.raises(BackboneError) as caught:
        load_backbone(str(name), registry, "cpu")
    return str(caught.value)


def test_an_unquantized_file_gives_the_original_states(file, original, registry, capfd):
    """Names, the order of rotary rows and the tokenizer must all come through."""
    loaded = load_backbone(str(file), registry, "cpu")
    ids = torch.arange(20).unsqueeze(0)
    places = torch.arange(20).unsqueeze(0)
    expected = original.hidden_states(original.embed(ids), None, places)
    torch.testing.assert_close(loaded.hidden_states(loaded.embed(ids), None, places), expected)
    text = "an abc of CCO 12"
    assert loaded.tokenizer(text).input_ids == original.tokenizer(text).input_ids
    assert loaded.tokenizer.get_vocab() == original.tokenizer.get_vocab()  # nothing was added
    assert loaded.end_id == original.end_id
    assert loaded.fingerprint().difference(original.fingerprint()) is None
    assert "Converting" not in capfd.readouterr().err  # the library's own bar stays away


def test_quantized_files_are_the_same_backbone_within_the_tolerance(tmp_path, original, registry):
    """The probe decides: 8 bits of these random weights pass, 4 bits of them do not."""
    expected = original.fingerprint()
    eight = write_gguf(tmp_path / "8.gguf", original, "Q8_0")
    four = write_gguf(tmp_path / "4.gguf", original, "Q4_0")
    loaded = load_backbone(str(eight), registry, "cpu")
    assert loaded.dtype == torch.float32
    assert loaded.fingerprint().difference(expected) is None
    assert loaded.fingerprint().key != expected.key  # its own tags in the store
    difference = load_backbone(str(four), registry, "cpu").fingerprint().difference(expected)
    assert difference is not None
    assert "other weights" in difference


def test_a_file_in_a_folder_and_a_folder_with_several(file, original, registry):
    """A folder with one file is that file; with two of them none is guessed."""
    assert locate(str(file.parent), registry).path == str(file)
    write_gguf(file.parent / "other.gguf", original)
    message = refusal(file.parent, registry)
    assert "2 GGUF files (model.gguf, other.gguf)" in message
    assert f"--backbone {file}" in message


def _cut_data(path):
    path.write_bytes(path.read_bytes()[:-500])


def _cut_header(path):
    path.write_bytes(path.read_bytes()[:900])


def _other_magic(path):
    path.write_bytes(b"GGML" + path.read_bytes()[4:])


def _pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 97\n")


def _huge_count(path):
    data = path.read_bytes()
    path.write_bytes(data[:8] + struct.pack("<QQ", 1 << 60, 1 << 60) + data[24:])


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (_cut_data, "is cut off: "),
        (_cut_header, "cut off within its header"),
        (_other_magic, "is not a GGUF file"),
        (_pointer, "Git LFS pointer"),
        (_huge_count, "cut off within its header"),
    ],
)
def test_a_broken_file_is_named_before_it_is_loaded(spoil, wanted, file, registry):
    """The library would speak of shapes or buffers."""
    spoil(file)
    message = refusal(file, registry)
    assert wanted in message
    assert str(file) in message


def test_what_cannot_be_loaded_says_what_can(tmp_path, original, registry):
    """An unknown architecture, a file without a tokenizer, and a piece of a model."""
    other = write_gguf(tmp_path / "a.gguf", original, architecture="rwkv6")
    assert "architecture 'rwkv6'" in refusal(other, registry)
    bare = write_gguf(tmp_path / "b.gguf", original, has_tokenizer=False)
    assert "holds no tokenizer" in refusal(bare, registry)
    piece = write_gguf(tmp_path / "c-00001-of-00003.gguf", original)
    assert "one of 3 pieces" in refusal(piece, registry)


def test_without_the_package_the_message_names_the_extra(file, registry, monkeypatch):
    """Nobody should meet an ImportError."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'taglm[gguf]'" in refusal(file, registry)


def test_the_tokenizer_beside_a_file_is_taken_if_it_is_the_models(file, original, registry, caplog):
    """It keeps what a file loses; that of another model must not slip in."""
    original.tokenizer.save_pretrained(file.parent)
    before = content_of(str(file))
    assert gguf_file.tokenizer_folder(file, read_header(file)) == file.parent
    text = (file.parent / "tokenizer.json").read_text()
    changed = text.replace('"C": 34', '"C": 35', 1).replace('"D": 35', '"D": 34', 1)
    (file.parent / "tokenizer.json").write_text(changed)
    assert changed != text
    with caplog.at_level(logging.WARNING):
        loaded = load_backbone(str(file), registry, "cpu")
    assert "has other tokens than the file" in caplog.text
    assert loaded.tokenizer.get_vocab() == original.tokenizer.get_vocab()
    assert content_of(str(file)) != before  # the tokenizer beside is part of what is loaded


def test_a_start_reads_header_and_tokenizer_once(file, original, registry, monkeypatch):
    """A real file names 150,000 tokens: each further reading takes a second."""
    original.tokenizer.save_pretrained(file.parent)
    headers, tokenizers = [], []
    reader, load = gguf_header._Reader, transformers.AutoTokenizer.from_pretrained
    monkeypatch.setattr(gguf_header, "_Reader", lambda f: headers.append(f) or reader(f))
    monkeypatch.setattr(
        transformers.AutoTokenizer,
        "from_pretrained",
        lambda *args, **options: tokenizers.append(args) or load(*args, **options),
    )
    loaded = load_backbone(str(file), registry, "cpu")
    assert content_of(str(file)) == loaded.content
    assert (len(headers), len(tokenizers)) == (1, 1)
    os.utime(file)  # another state: it is read again
    read_header(file)
    assert len(headers) == 2


def test_names_of_files_that_are_not_there(registry, tmp_path):
    """A missing file is no Hub id, and a file of the Hub has a form of its own."""
    with pytest.raises(UnknownNameError, match="no such file.*owner/name:file.gguf"):
        locate("models/x.gguf", registry)
    assert locate("owner/name:x-Q4_K_M.gguf", registry).path == "owner/name:x-Q4_K_M.gguf"
    assert content_of("owner/name:x-Q4_K_M.gguf") == ""  # not in the cache


def test_the_header_tells_what_the_file_holds(file, original):
    """`taglm backbone show` reads it without the weights."""
    header = read_header(file)
    assert header.architecture == "llama"
    assert header.fact("context_length") == 256
    assert header.parameters == sum(p.numel() for p in original.model.parameters())
    assert type_names(header) == {"F32": header.parameters}
    assert np.prod(header.tensors[0][1]) > 0


def test_predictors_pass_between_a_file_and_the_original_weights(tmp_path, original, toy_registry):
    """Trained on either, used on the other: the predictions agree within what 8 bits round."""
    folder = tmp_path / "folder"
    original.model.save_pretrained(folder)
    original.tokenizer.save_pretrained(folder)
    file = write_gguf(tmp_path / "model.gguf", original, "Q8_0")
    table = write_table(tmp_path)
    rows = {"letters": ["aab", "bcab", "cc", "abcabca"]}
    for own, other in ((file, folder), (folder, file)):
        made = run(tmp_path, toy_registry, own, table, SHARE, PLAIN)
        artifact = load_artifact(find_artifact(made.folder))
        moved = load_predictor(artifact, toy_registry, str(other))
        expected, found = (
            p.predict(rows, "numpy", on_error="raise") for p in (made.predictor, moved)
        )
        np.testing.assert_allclose(found, expected, atol=0.1)
        assert np.ptp(expected) > 0


REAL = os.environ.get("TAGLM_GGUF")


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="TAGLM_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf")
def test_a_real_file_loads_and_knows_words(registry):
    """The file of a language model, not of random weights: it predicts what follows."""
    backbone = load_backbone(REAL, registry, "cpu")
    ids = torch.tensor([backbone.tokenizer("The capital of France is").input_ids])
    states = backbone.hidden_states(backbone.embed(ids), None, torch.arange(ids.shape[1])[None])
    best = int(backbone.logits(states)[0, -1].argmax())
    assert backbone.tokenizer.decode([best]).strip() == "Paris"
