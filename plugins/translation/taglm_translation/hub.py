"""FLORES-101, FLORES-200, NTREX and OPUS-100: by Hub id or from copies on disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taglm_core.errors import DataError
from taglm_core.plugin import Table, hub_access
from taglm_translation.languages import get
from taglm_translation.pairs import make_rows, pairing
from taglm_translation.sentences import Sentence, from_table, read_sentences

FLORES = "facebook/flores"
OPUS100 = "Helsinki-NLP/opus-100"


def multiway(
    *,
    seed: int,
    size: int | None = None,
    file: str | None = None,
    files: Sequence[str] = (),
    part_column: str | None = None,
    **options: Any,
) -> dict[str, list[str]]:
    """Make translation rows of local files: multi-column tables, Moses pairs, folders.

    Args:
        seed: Draws rows where there are more than wanted.
        size: Most training rows; None: no limit.
        file: A file or folder, see `sentences.read_sentences`.
        files: Further ones; their sentences are put together.
        part_column: Column of the tables that names each row's split; None: the fixed buckets.
        **options: See `pairs.Pairing`.
    """
    paths = [*([file] if file else []), *([files] if isinstance(files, str) else files)]
    if not paths:
        raise DataError(
            "dataset translation/multiway reads files: give --data FILE, or data.options.files."
        ) from FileNotFoundError("no file was given")
    how = pairing(options)
    sentences = [sentence for path in paths for sentence in read_sentences(path, part_column)]
    return make_rows(sentences, how, seed, size, ", ".join(map(str, paths)))


def flores(
    *,
    seed: int,
    size: int | None = None,
    file: str | None = None,
    id: str = FLORES,
    config: str = "all",
    **options: Any,
) -> dict[str, list[str]]:
    """Make rows of FLORES-101 or FLORES-200: dev is for training, devtest the test split.

    Args:
        seed: Draws rows where there are more than wanted.
        size: Most training rows; None: no limit.
        file: Folder of a local copy that holds `dev` and `devtest`; None: the Hub.
        id: Hub id, such as `facebook/flores` or `gsarti/flores_101`.
        config: Its configuration with all languages.
        **options: See `pairs.Pairing`.
    """
    how = pairing(options)
    sentences: list[Sentence] = []
    for split in ("dev", "devtest"):
        if file is not None:
            read = read_sentences(_flores_folder(Path(file), split))
        else:
            read = from_table(_hub_table(id, config, split))
        sentences += _flores_parts(read, split)
    return make_rows(sentences, how, seed, size, file or id)


def _flores_folder(folder: Path, split: str) -> Path:
    for name in (split, f"flores101_dataset/{split}", f"flores200_dataset/{split}"):
        if (folder / name).is_dir():
            return folder / name
    raise DataError(
        f"{folder}: no folder '{split}' in it. Give the unpacked FLORES folder, which holds dev "
        "and devtest."
    )


def _flores_parts(sentences: Sequence[Sentence], split: str) -> list[Sentence]:
    """Name each sentence's split: devtest is the test split, every tenth of dev the validation."""
    return [
        Sentence(
            f"{split}-{s.id}",
            s.texts,
            "test" if split == "devtest" else ("valid" if i % 10 == 9 else "train"),
        )
        for i, s in enumerate(sentences)
    ]


def opus100(
    *,
    seed: int,
    size: int | None = None,
    id: str = OPUS100,
    file: str | None = None,
    pairs: Sequence[str] = ("en-fr", "en-ru", "en-de", "en-it", "en-el"),
    rows: int = 20_000,
    **options: Any,
) -> dict[str, list[str]]:
    """Make rows of OPUS-100, which holds English with each of 99 languages.

    Args:
        seed: Draws rows where there are more than wanted.
        size: Most training rows; None: no limit.
        id: Hub id.
        file: Folder of a local copy in Moses files (`opus.en-fr-train.en`); None: the Hub.
        pairs: Its language pairs, as it names them (`de-en`, `en-fr`); the order does not matter.
        rows: Most rows that are read of each pair.
        **options: See `pairs.Pairing`.
    """
    how = pairing(options)
    sentences: list[Sentence] = []
    for pair in [pairs] if isinstance(pairs, str) else pairs:
        left, _, right = pair.partition("-")
        codes = sorted(get(code, f"pairs {pair}").tag.lower() for code in (left, right))
        name = "-".join(codes)
        for source, split in (("train", "train"), ("validation", "valid"), ("test", "test")):
            if file is not None:
                read = _opus_local(Path(file), name, source)[:rows]
            else:
                wanted = f"{source}[:{rows}]"
                table = _hub_table(id, name, wanted)
                read = from_table(_unnested(table))
            sentences += [Sentence(f"{name}-{source}-{s.id}", s.texts, split) for s in read]
    return make_rows(sentences, how, seed, size, file or id)


def _opus_local(folder: Path, name: str, split: str) -> list[Sentence]:
    short = {"validation": "dev"}.get(split, split)
    files = sorted(folder.rglob(f"opus.{name}-{short}.{name[:2]}"))
    if not files:
        raise DataError(
            f"{folder}: no file opus.{name}-{short}.{name[:2]} in it. Give the folder of the "
            "unpacked OPUS-100 (supervised)."
        )
    return read_sentences(files[0])


def _unnested(table: Table) -> Table:
    """Turn a column `translation` of dictionaries into one column a language."""
    texts = table.column("translation")
    columns = {code: [row[code] for row in texts] for code in texts[0]} if texts else {}
    return Table(columns=columns, rows=table.rows, source=table.source)


def _hub_table(id: str, config: str, split: str) -> Table:
    """Read a split of a Hub data set.

    Raises:
        DataError: when it cannot be had, with what to do offline.
    """
    import datasets

    try:
        with hub_access():
            dataset = datasets.load_dataset(id, config, split=split)
    except Exception as error:  # the library raises many kinds; each becomes one message
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"dataset '{id}' ({config}, {split}) cannot be loaded: {type(error).__name__}: "
            f"{reason}. It needs the network once (and, for some sets, `hf auth login`); offline "
            "give a local copy: --data FOLDER."
        ) from error
    columns = {name: list(dataset[name]) for name in dataset.column_names}
    count = len(next(iter(columns.values()), []))
    return Table(columns=columns, rows=list(range(1, count + 1)), source=f"{id} {config} {split}")
