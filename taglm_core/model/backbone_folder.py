"""What a backbone's folder holds: named before loading if it is no model, hashed by content."""

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taglm_core.data.digests import Digests, file_digest
from taglm_core.errors import BackboneError
from taglm_core.model import gguf_file

_LFS = b"version https://git-lfs"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "tekken.json")
_CHUNK = 1 << 22
_NO_CONTENT = ("transformers_version", "torch_dtype", "dtype", "_name_or_path", "architectures")
"""Keys of config.json that saving again may change, while the model stays the same."""


def check_folder(folder: Path, name: str) -> Path | None:
    """Check that a folder holds a model of transformers with its tokenizer, or one GGUF file.

    Only names, sizes and the first bytes of files are looked at.

    Args:
        folder: The folder.
        name: What the user wrote, for messages.

    Returns:
        The GGUF file, where the folder holds one and no other weights.

    Raises:
        BackboneError: saying what the folder holds instead, and what to do.
    """
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    if not _weight_files(files) and "adapter_config.json" not in files:
        gguf = gguf_file.only_file(folder, name)
        if gguf is not None:
            gguf_file.check_file(gguf, name)
            return gguf
    problem = (
        _another_kind(files)
        or _pointer(files)
        or _config_problem(files)
        or _weights_problem(files)
        or _tokenizer_problem(files)
    )
    if problem is not None:
        raise BackboneError(f"backbone '{name}': {problem}")
    return None


def _another_kind(files: dict[str, Path]) -> str | None:
    """Recognize adapters and folders without a model."""
    if "adapter_config.json" in files:
        facts = _json(files["adapter_config.json"]) or {}
        base = facts.get("base_model_name_or_path", "unknown")
        return (
            f"the folder holds a PEFT adapter ({facts.get('peft_type', 'unknown type')}) of the "
            f"model '{base}', not a whole model. Merge the two (merge_and_unload, then "
            "save_pretrained, and save the tokenizer there too) and give the merged folder."
        )
    if "config.json" in files:
        return None
    if "model_index.json" in files:
        return (
            "the folder holds a diffusion pipeline. Give the folder of a causal language model, "
            "such as Llama, Qwen, Mistral, Gemma or GPT-NeoX."
        )
    if {"config.yaml", "tags.safetensors"} & set(files) or "run.yaml" in files:
        return "the folder holds a run of taglm, not a backbone. Give the folder of the model."
    shown = ", ".join(list(files)[:8]) or "no files"
    return (
        f"the folder holds no config.json (it holds {shown}). Give the folder that "
        "`save_pretrained` wrote."
    )


def _pointer(files: dict[str, Path]) -> str | None:
    """Recognize files that Git LFS has not fetched."""
    for name, path in files.items():
        if path.stat().st_size < 1024 and _start(path, len(_LFS)) == _LFS:
            return (
                f"{name} is a Git LFS pointer of {path.stat().st_size} bytes, not the file itself. "
                "Run `git lfs pull` in the folder, or download the file again."
            )
    return None


def _config_problem(files: dict[str, Path]) -> str | None:
    config = _json(files["config.json"])
    if config is None:
        return "config.json is not a valid JSON object. Download it again."
    if config.get("is_encoder_decoder"):
        return encoder_decoder(str(config.get("model_type", "unknown")))
    if "tags" in config and "backbone" in config:
        return "the folder holds a predictor of taglm, not a backbone. Give the model's folder."
    return None


def encoder_decoder(model_type: str) -> str:
    """Return what is said of a model that is no causal LM."""
    return (
        f"the model is an encoder-decoder ({model_type}); taglm needs a causal (decoder-only) "
        "language model, such as Llama, Qwen, Mistral, Gemma or GPT-NeoX."
    )


def _weights_problem(files: dict[str, Path]) -> str | None:
    """Recognize weights that are missing, empty or cut off."""
    for name in files:
        if name.endswith(".index.json"):
            listed = set((_json(files[name]) or {}).get("weight_map", {}).values())
            missing = sorted(listed - set(files))
            if missing:
                return (
                    f"{name} lists {len(listed)} files of weights, but {missing[0]} is missing "
                    f"({len(missing)} in all). Download the folder again."
                )
    weights = _weight_files(files)
    if not weights:
        return (
            "the folder holds a config.json but no weights (no .safetensors and no .bin file). "
            "Download them too."
        )
    for name in weights:
        size = files[name].stat().st_size
        if not size:
            return f"{name} is empty. Download it again."
        wanted = _safetensors_size(files[name]) if name.endswith(".safetensors") else size
        if wanted is None:
            return (
                f"{name} is not a safetensors file: its header cannot be read. Download it again."
            )
        if wanted != size:
            state = "cut off" if size < wanted else "longer than its header says"
            return f"{name} is {state}: {size:,} of {wanted:,} bytes. Download it again."
    return None


def _tokenizer_problem(files: dict[str, Path]) -> str | None:
    if any(name in files for name in _TOKENIZERS) or any(n.endswith(".model") for n in files):
        return None
    return (
        "the folder holds no tokenizer (no tokenizer.json). Save the tokenizer of the model into "
        "it: AutoTokenizer.from_pretrained(ORIGINAL).save_pretrained(FOLDER)."
    )


def _weight_files(files: dict[str, Path]) -> list[str]:
    return [n for n in files if n.endswith(_WEIGHTS) and not n.startswith(("training_", "optim"))]


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _start(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _safetensors_header(path: Path) -> tuple[dict[str, Any], int] | None:
    """Return the header of a safetensors file and where its data begin, None without one."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return None
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, 100_000_000):
            return None
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return None
    return (header, 8 + length) if isinstance(header, dict) else None


def _safetensors_size(path: Path) -> int | None:
    """Return how many bytes a safetensors file must have, None if its header is broken."""
    found = _safetensors_header(path)
    if found is None:
        return None
    header, begin = found
    try:
        return begin + max(
            (int(v["data_offsets"][1]) for k, v in header.items() if k != "__metadata__"),
            default=0,
        )
    except (KeyError, TypeError, IndexError, ValueError):
        return None


def content_of(path: str, revision: str | None = None) -> str:
    """Return a hash of a stored backbone: its weights, its configuration and its tokenizer.

    Tensors of safetensors files are hashed by name, type, shape and bytes, so that it does not
    matter how they are divided into files. Other files are hashed as they are.

    Args:
        path: A folder, a GGUF file, or a Hub id (with a file) that is in the local cache.
        revision: Of a Hub id.

    Returns:
        16 hexadecimal digits; "" when a Hub id is not in the cache.
    """
    if gguf_file.is_named(path):
        file = gguf_file.stored_file(path, revision)
        return gguf_file.content_of_file(file) if file is not None else ""
    folder = _stored(path, revision)
    if folder is None:
        return ""
    known = Digests()
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    names = _weight_files(files)
    if any(name.endswith(".safetensors") for name in names):
        names = [name for name in names if name.endswith(".safetensors")]
    config = _json(files["config.json"]) if "config.json" in files else None
    facts = {key: value for key, value in (config or {}).items() if key not in _NO_CONTENT}
    parts = [json.dumps(facts, sort_keys=True)]
    for name in files:
        if name in _TOKENIZERS or name.endswith(".model"):
            parts += known.of(files[name], file_digest)
    for name in names:
        file = files[name]
        parts += known.of(file, _tensor_digests if name.endswith(".safetensors") else file_digest)
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]


def _stored(path: str, revision: str | None) -> Path | None:
    """Return the folder of a backbone, None for a Hub id that is not in the cache."""
    if Path(path).is_dir():
        return Path(path)
    from transformers.utils import cached_file

    try:
        file = cached_file(path, "config.json", revision=revision, local_files_only=True)
    except OSError:
        return None
    return Path(file).parent if file else None


def explain_failure(error: Exception, name: str, path: str, revision: str | None) -> str:
    """Return what is said when the library could not load a backbone."""
    first = " ".join(str(error).strip().split("\n")[0].split())
    said = f"backbone '{name}' cannot be loaded from '{path}': {type(error).__name__}: {first}"
    if gguf_file.is_named(path) and gguf_file.stored_file(path, revision) is not None:
        return (
            f"{said} Its header is in order. Download it again, update transformers, or give the "
            "model in the format of transformers."
        )
    folder = None if gguf_file.is_named(path) else _stored(path, revision)
    if folder is None:
        return (
            f"{said} Check the name; `taglm plugins` lists registered ones; a Hub id needs the "
            "network once, and `hf auth login` where access is restricted."
        )
    config = _json(folder / "config.json") or {}
    if config.get("is_encoder_decoder"):
        return f"backbone '{name}': {encoder_decoder(str(config.get('model_type', 'unknown')))}"
    if "auto_map" in config:
        return (
            f"{said} The model needs code of its own, which taglm does not run. Choose a model "
            "whose architecture is part of transformers."
        )
    return (
        f"{said} The folder holds config.json of the type '{config.get('model_type', 'unknown')}' "
        f"({', '.join(config.get('architectures') or ['no architecture named'])}). Check that all "
        "files are of one causal language model, or download it again."
    )


def _tensor_digests(path: Path) -> list[str]:
    found = _safetensors_header(path)
    if found is None:
        return file_digest(path)
    header, begin = found
    digests = []
    with path.open("rb") as file:
        for name, facts in sorted(header.items()):
            if name == "__metadata__":
                continue
            first, last = facts["data_offsets"]
            file.seek(begin + first)
            digest = hashlib.sha256(f"{name} {facts['dtype']} {facts['shape']} ".encode())
            for piece in _pieces(file, last - first):
                digest.update(piece)
            digests.append(digest.hexdigest())
    return digests


def _pieces(file: Any, count: int) -> Iterator[bytes]:
    while count > 0:
        piece = file.read(min(count, _CHUNK))
        if not piece:
            return
        count -= len(piece)
        yield piece
