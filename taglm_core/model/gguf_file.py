"""GGUF files of llama.cpp as backbones: found, checked before they are loaded, hashed.

Only the header of a file is read; transformers unpacks the weights.
"""

import functools
import hashlib
import importlib.util
import json
import logging
import math
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from taglm_core.data.digests import Digests, file_digest
from taglm_core.errors import BackboneError, listed, nearest
from taglm_core.model.gguf_header import Header, HeaderCutError, read_header, states_of

logger = logging.getLogger(__name__)

SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_HUB_FILE = re.compile(r"^(?P<hub>[\w.-]+/[\w.-]+):(?P<file>[^:]+\.gguf)$", re.IGNORECASE)
_PIECE = re.compile(r"-\d{5}-of-(\d{5})\.gguf$", re.IGNORECASE)
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def named_on_hub(name: str) -> tuple[str, str] | None:
    """Return the Hub id and the file of `owner/name:file.gguf`, None for another name."""
    match = _HUB_FILE.match(name)
    return (match["hub"], match["file"]) if match else None


def only_file(folder: Path, name: str) -> Path | None:
    """Return the GGUF file of a folder that holds nothing else to load, None without one.

    Raises:
        BackboneError: when there are several, none of which is guessed.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == SUFFIX and p.is_file())
    if not files:
        return None
    if len(files) > 1:
        names = listed([file.name for file in files], 6)
        raise BackboneError(
            f"backbone '{name}': the folder holds {len(files)} GGUF files ({names}). Name one of "
            f"them: --backbone {folder / files[0].name}"
        )
    return files[0]


def check_file(path: Path, name: str) -> Header:
    """Check a GGUF file before it is loaded, and return its header.

    Args:
        path: The file.
        name: What the user wrote, for messages.

    Raises:
        BackboneError: saying what is wrong, and what to do.
    """
    _demand_package(name)
    problem, header = _problem(path)
    if problem is not None or header is None:
        raise BackboneError(f"backbone '{name}': {problem}")
    return header


def _demand_package(name: str) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise BackboneError(
            f"backbone '{name}': GGUF files need the package gguf: pip install 'taglm[gguf]'. Or "
            "give a folder in the format of transformers (config.json, safetensors and tokenizer)."
        )


def _problem(path: Path) -> tuple[str | None, Header | None]:
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    size = path.stat().st_size
    if size < 1024 and start == b"vers":
        return f"{path.name} is a Git LFS pointer of {size} bytes. Run `git lfs pull`.", None
    if start != _MAGIC:
        return (
            f"{path.name} is not a GGUF file: it does not begin with 'GGUF'. Download it again.",
            None,
        )
    piece = _PIECE.search(path.name)
    if piece and int(piece[1]) > 1:
        return (
            f"{path.name} is one of {int(piece[1])} pieces of a model, which transformers does not "
            "put together. Merge them: llama-gguf-split --merge FIRST_PIECE WHOLE.gguf"
        ), None
    try:
        header = read_header(path)
    except HeaderCutError:
        return f"{path.name} is cut off within its header: {size:,} bytes. Download it again.", None
    return _content_problem(path, size, header), header


def _content_problem(path: Path, size: int, header: Header) -> str | None:
    known = known_architectures()
    if not header.architecture:
        return (
            f"{path.name} names no architecture (general.architecture), so that it holds no whole "
            "model. Download it again."
        )
    if header.architecture not in known:
        return (
            f"{path.name} holds a model of the architecture '{header.architecture}', which "
            f"transformers does not load from GGUF.{nearest(header.architecture, known)} It loads "
            f"{listed(known, 40)}. Give the model in the format of transformers (config.json and "
            "safetensors)."
        )
    needed = _needed_bytes(header)
    if isinstance(needed, str):
        return f"{path.name}: {needed}"
    if size < needed:
        return f"{path.name} is cut off: {size:,} of {needed:,} bytes. Download it again."
    if "tokenizer.ggml.tokens" not in header.facts and tokenizer_folder(path, header) is None:
        return (
            f"{path.name} holds no tokenizer. Put tokenizer.json and tokenizer_config.json of the "
            "model into its folder."
        )
    return None


def known_architectures() -> list[str]:
    """Return the architectures that transformers loads from GGUF files, causal ones alone."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    names = set(GGUF_SUPPORTED_ARCHITECTURES) | {"qwen2moe", "qwen3moe", "gpt-oss", "minimax-m2"}
    try:
        from transformers.integrations.gguf import GGUF_ARCHS
    except ImportError:  # transformers before it had a second way of loading
        GGUF_ARCHS = {}
    return sorted((names | set(GGUF_ARCHS)) - {"t5", "t5encoder", "umt5", "general", "tokenizer"})


def _needed_bytes(header: Header) -> int | str:
    """Return how many bytes the file must have, or what is unknown in it."""
    import gguf

    sizes = {int(kind): pair for kind, pair in gguf.GGML_QUANT_SIZES.items()}
    most = header.begin
    for name, shape, kind, offset in header.tensors:
        if kind not in sizes:
            return (
                f"the tensor {name} has the type {kind}, which the package gguf does not know. Try "
                "`pip install --upgrade gguf`, or another quantization of the model, such as Q8_0."
            )
        block, size = sizes[kind]
        most = max(most, header.begin + offset + math.prod(shape) // block * size)
    return most


def tokenizer_folder(path: Path, header: Header) -> Path | None:
    """Return the folder of a GGUF file if it holds the tokenizer of that very model.

    That is one with the same tokens at the same ids as in the file, if the file names its tokens.
    """
    if not all((path.parent / name).is_file() for name in _TOKENIZER_FILES):
        return None
    inside = header.facts.get("tokenizer.ggml.tokens")
    if not isinstance(inside, list):
        return path.parent
    vocabulary = _tokenizer_in(path.parent).get_vocab()
    strange = sum(vocabulary.get(token, number) != number for number, token in enumerate(inside))
    shared = sum(token in vocabulary for token in inside)
    return path.parent if not strange and shared >= 0.9 * len(inside) else None


def _tokenizer_in(folder: Path) -> Any:
    return _load_tokenizer(folder, states_of(*(folder / name for name in _TOKENIZER_FILES)))


@functools.lru_cache(maxsize=1)
def _load_tokenizer(folder: Path, states: tuple[tuple[int, ...], ...]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def is_named(path: str) -> bool:
    """Whether a path is that of a GGUF file, here or on the Hub."""
    return path.lower().endswith(SUFFIX) and (Path(path).is_file() or bool(named_on_hub(path)))


def stored_file(path: str, revision: str | None = None, fetches: bool = False) -> Path | None:
    """Return the GGUF file behind a path, checked if it comes from the Hub.

    Args:
        path: A file, or `owner/name:file.gguf`.
        revision: Of the Hub's repository.
        fetches: Whether a file that is not in the local cache is downloaded.

    Returns:
        None for another path, and for a file of the Hub that is not in the cache.
    """
    if Path(path).is_file():
        return Path(path)
    on_hub = named_on_hub(path)
    if on_hub is None:
        return None
    from transformers.utils import cached_file

    try:
        file = cached_file(*on_hub, revision=revision, local_files_only=not fetches)
    except OSError:
        if fetches:
            raise
        return None
    if fetches and file is not None:
        check_file(Path(file), path)
    return Path(file) if file is not None else None


def loading_options(file: Path) -> dict[str, Any]:
    """Return what `from_pretrained` is told to unpack a GGUF file into plain weights."""
    options: dict[str, Any] = {"gguf_file": file.name}
    try:
        from transformers import GgufConfig
    except ImportError:  # before it could keep weights packed, transformers always unpacked them
        return options
    return {**options, "quantization_config": GgufConfig(gguf_file=file.name, dequantize=True)}


def tokenizer_of(file: Path, name: str) -> Any:
    """Return the tokenizer beside a GGUF file if it is that of the model, else the one inside."""
    from transformers import AutoTokenizer

    header = read_header(file)
    folder = tokenizer_folder(file, header)
    if folder is not None:
        return _tokenizer_in(folder)
    if all((file.parent / part).is_file() for part in _TOKENIZER_FILES):
        logger.warning(
            "backbone '%s': tokenizer.json beside %s has other tokens than the file; the tokenizer "
            "inside the file is used",
            name,
            file.name,
        )
    # alone in a folder, since the library would prefer a tokenizer.json beside it
    with tempfile.TemporaryDirectory(prefix="taglm-") as alone:
        link = Path(alone) / file.name
        try:
            link.symlink_to(file.resolve())
        except OSError:  # where links are not allowed
            shutil.copyfile(file, link)
        tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file=file.name)
    return _within(tokenizer, len(header.facts["tokenizer.ggml.tokens"]))


def _within(tokenizer: Any, count: int) -> Any:
    """Return a tokenizer without the tokens that the library adds beyond those of the file.

    GPT-2's tokenizer gets its `<|endoftext|>` whether or not the file has it, and Llama 3 has not:
    the token would have no row in the embedding.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    content = json.loads(tokenizer.backend_tokenizer.to_str())
    beyond = [token["content"] for token in content["added_tokens"] if token["id"] >= count]
    if not beyond:
        return tokenizer
    content["added_tokens"] = [t for t in content["added_tokens"] if t["id"] < count]
    special = {k: v for k, v in tokenizer.special_tokens_map.items() if v not in beyond}
    backend = Tokenizer.from_str(json.dumps(content))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def content_of_file(path: Path) -> str:
    """Return a hash of a GGUF file and of the tokenizer beside it, 16 hexadecimal digits."""
    known = Digests()
    parts = known.of(path, file_digest)
    if tokenizer_folder(path, read_header(path)) is not None:
        parts = [*parts, *known.of(path.parent / _TOKENIZER_FILES[0], file_digest)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
