"""Languages and translation for taglm: a domain tag for each language and one `<Translate>`.

Importing this module only declares things; sacrebleu is imported when a metric is computed.
"""

import taglm_core as taglm
from taglm_translation.languages import BUILT_IN, Language, languages

__version__ = "0.1.0"

__all__: list[str] = []

_COLUMNS = ("id", "src_lang", "source", "tgt_lang", "target", "split")


def _domain(language: Language) -> taglm.Domain:
    is_built_in = language in BUILT_IN
    return taglm.Domain(
        tag=language.tag,
        field=language.column,
        aliases=(*language.codes, language.name.lower(), "text", "sentence")
        if is_built_in
        else ("text", "sentence"),
        description=f"Text in {language.name or language.tag}, encoded by the backbone's "
        "tokenizer.",
        encoder="text",
        doubt=f"taglm_translation.scripts:doubt_{language.column}" if language.script else None,
        corpus=f"translation/text-{language.column}" if is_built_in else None,
        split="translation/text",
    )


@taglm.hookimpl
def register_domains() -> list[taglm.Domain]:
    """Return one domain for each language, those of TAGLM_LANGUAGES included."""
    return [_domain(language) for language in languages()]


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return the translation between any two languages."""
    return [
        taglm.Task(
            name="Translate",
            function_tag="Translate",
            template="<{src_lang}>{source}\n<{tgt_lang}><Translate>{target}",
            target=taglm.Text(max_new_tokens=128),
            metrics=("chrf", "bleu"),
            dataset="translation/phrases",
            split="translation/sentence",
            description="Translation; the columns src_lang and tgt_lang name the languages.",
        )
    ]


@taglm.hookimpl
def register_templates() -> list[taglm.Template]:
    """Return the prompt of the Tag-LLM paper, and one that ends with the language."""
    return [
        taglm.Template(
            name="paper",
            task="translation/Translate",
            text="# # Input: <{src_lang}> {source} \n# # Output: <{tgt_lang}><Translate>{target}",
        ),
        # a function tag right before the output learns to outvote the language's tag there, which
        # costs the pairs that it never saw
        taglm.Template(
            name="language-last",
            task="translation/Translate",
            text="<{src_lang}>{source}\n<Translate><{tgt_lang}>{target}",
        ),
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the generated phrases, the readers of translation data, the corpora of stage 1."""
    generated = (
        "Simple sentences of eight languages composed from a small typed grammar (numbers, days, "
        "colors, things); generated, not natural text."
    )
    phrases = taglm.Dataset(
        name="phrases",
        load="taglm_translation.phrases:parallel",
        columns=_COLUMNS,
        description=f"{generated} English with five languages for training, all pairs for tests.",
        license="Apache-2.0",
        generated=True,
        split_column="split",
    )
    readers = [
        (
            "multiway",
            "Your own multi-column tables, Moses pairs and folders.",
            "that of your files",
        ),
        ("flores", "FLORES-101 or 200, by Hub id or from a local copy.", "CC-BY-SA-4.0"),
        ("opus100", "OPUS-100, by Hub id or from a local copy.", "that of OPUS's corpora"),
    ]
    return [
        phrases,
        *(
            taglm.Dataset(
                name=name,
                load=f"taglm_translation.hub:{name}",
                columns=_COLUMNS,
                description=text,
                license=license,
                split_column="split",
            )
            for name, text, license in readers
        ),
        *(
            taglm.Dataset(
                name=f"text-{language.column}",
                load=f"taglm_translation.corpora:{language.column}",
                columns=tuple(dict.fromkeys((language.column, "en"))),
                description=f"{generated} The corpus of stage 1 of <{language.tag}>.",
                license="Apache-2.0",
                generated=True,
            )
            for language in BUILT_IN
        ),
    ]


@taglm.hookimpl
def register_splitters() -> list[taglm.Splitter]:
    """Return the split of translations and that of one-language corpora."""
    return [
        taglm.Splitter(
            name="sentence",
            assign="taglm_translation.buckets:assign_pairs",
            columns=("target",),
            whole_rows=True,
            description="A sentence lies in one split for all languages, by its English side.",
        ),
        taglm.Splitter(
            name="text",
            groups="taglm_translation.buckets:corpus_groups",
            keys=("en", "eng_Latn"),
            description="Corpora of one language, by the English column where there is one.",
        ),
    ]


@taglm.hookimpl
def register_metrics() -> list[taglm.Metric]:
    """Return the metrics of translations."""
    return [
        taglm.Metric(
            name=name,
            function=f"taglm_translation.metrics:{name}",
            signature=f"taglm_translation.metrics:{name}_signature",
            doubt="taglm_translation.metrics:bleu_doubt" if name == "bleu" else None,
            kind="text",
            description=text,
        )
        for name, text in (
            ("chrf", "chrF2 by sacrebleu, 0 to 100 (Popović 2015)"),
            ("bleu", "corpus BLEU by sacrebleu over 13a tokens, 0 to 100 (Papineni et al. 2002)"),
            ("spbleu", "BLEU over FLORES sentencepiece pieces, 0 to 100 (Goyal et al. 2022)"),
        )
    ]


@taglm.hookimpl
def register_commands() -> list[taglm.Command]:
    """Return the command that compares directions."""
    return [
        taglm.Command(
            name="directions",
            help="Score translations by direction, with intervals and a heat map.",
            app="taglm_translation.directions:directions",
        )
    ]
