"""Sentences in several languages, and reading them from local files of the usual layouts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from taglm_core.errors import DataError
from taglm_core.plugin import Table, clean_cell, is_table_file, read_lines, read_table
from taglm_translation.languages import Language, find, languages

_IDS = ("id", "sentence_id")


@attrs.frozen
class Sentence:
    """One sentence with its translations."""

    id: str
    """Unique within its source."""
    texts: Mapping[str, str]
    """Language tag -> text; a language without a text is left out."""
    split: str = ""
    """train, valid or test when the data bring their own splits, else ""."""


def read_sentences(path: str | Path, split_column: str | None = None) -> list[Sentence]:
    """Read sentences from a file, a Moses pair or a folder.

    Args:
        path: A table (csv, tsv, jsonl or parquet, also .gz) with one column a language; one file
            of a Moses pair (`corpus.en`, beside it `corpus.fr`, also .gz); or a folder of files
            whose endings or names are language codes (`dev/eng_Latn.dev`).
        split_column: Column of a table that names each row's split; None: none.

    Raises:
        DataError: when there is nothing to read, or fewer than two languages.
    """
    path = Path(path)
    if path.is_dir():
        return _from_lines(_language_files(path), str(path))
    if is_table_file(path):
        return from_table(read_table(path), split_column)
    if path.exists():
        siblings = _language_files(path.parent, _plain(path).stem)
        return _from_lines(siblings, str(path))
    return from_table(read_table(path), split_column)  # raises with the nearest name


def language_columns(columns: Sequence[str]) -> dict[str, Language]:
    """Return column -> language for the columns that are named by a language."""
    known = languages()
    language_of = {column: find(column.removeprefix("sentence_"), known) for column in columns}
    return {column: language for column, language in language_of.items() if language is not None}


def from_table(table: Table, split_column: str | None = None) -> list[Sentence]:
    """Turn a table with one column a language into sentences.

    Raises:
        DataError: when fewer than two columns are languages.
    """
    columns = language_columns(list(table.columns))
    tags = [language.tag for language in columns.values()]
    if len(set(tags)) < 2 or len(set(tags)) < len(tags):
        what = "two columns of one language" if len(set(tags)) < len(tags) else "no two languages"
        raise DataError(
            f"{table.source}: {what} among the columns {', '.join(table.columns)}. A multi-column "
            "file has one column for each language, named by its code: en, fr, ... ."
        )
    id_cells = next((table.columns[name] for name in _IDS if name in table.columns), None)
    ids: Sequence[Any] = id_cells if id_cells is not None else table.rows
    splits = table.column(split_column) if split_column else [""] * table.num_rows
    return [
        Sentence(
            str(ids[i]),
            {
                language.tag: text
                for column, language in columns.items()
                if (text := _text(table.columns[column][i]))
            },
            str(splits[i]).strip().lower(),
        )
        for i in range(table.num_rows)
    ]


def _text(value: Any) -> str:
    return " ".join(clean_cell(value, is_text=True).split())


def _language_files(folder: Path, stem: str | None = None) -> dict[Path, Language]:
    """Return the files of a folder that are named by a language: `NAME.en` or `eng_Latn.dev`."""
    known = languages()
    files: dict[Path, Language] = {}
    for file in sorted(folder.iterdir()):
        if not file.is_file() or (stem is not None and _plain(file).stem != stem):
            continue
        language = find(_plain(file).suffix.lstrip("."), known)
        if language is None and stem is None:
            language = find(_plain(file).stem, known)
        if language is not None:
            files[file] = language
    return files


def _plain(file: Path) -> Path:
    """Return the path without the ending of its compression."""
    return file.with_suffix("") if file.suffix.lower() == ".gz" else file


def _from_lines(files: Mapping[Path, Language], source: str) -> list[Sentence]:
    """Read files of one sentence a line that run in parallel."""
    if len(files) < 2:
        raise DataError(
            f"{source}: no two files in parallel. One sentence a line is expected in files named "
            "by language codes, such as corpus.en and corpus.fr, or eng_Latn.dev and fra_Latn.dev."
        )
    lines = {}
    for file, language in files.items():
        if language.tag in lines:
            raise DataError(f"{source}: two files of the language {language.tag} ({file.name}).")
        lines[language.tag] = read_lines(file)
    counts = {tag: len(texts) for tag, texts in lines.items()}
    if len(set(counts.values())) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"{source}: files in parallel have different numbers of lines: {counts} ({names}). A "
            "line ends at a line feed alone; `wc -l` counts them."
        )
    return [
        Sentence(
            str(i + 1), {tag: text for tag, texts in lines.items() if (text := _text(texts[i]))}
        )
        for i in range(next(iter(counts.values())))
    ]
