"""Run the examples of the gallery and draw their pictures: `python docs/gallery/play.py [NAME...]`.

A page is run as it stands: its files are written, its commands and its Python called in order, in
one process and an empty folder that holds the tables. A tiny random backbone stands for the
embedded one, and presets are smaller, so that all examples together take a minute or two.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

GALLERY = Path(__file__).parent
IMAGES = GALLERY / "images"
PLUGINS = GALLERY.parents[1] / "examples" / "plugins"
PICTURES = {
    "one-property": ("runs/logP/report.html", "Scatter"),
    "your-csv": ("runs/TPSA/report.html", "Scatter"),
    "affinity": ("runs/BA/report.html", "Scatter"),
    "combination": ("runs/DC/report.html", "Scatter"),
    "landscape": ("runs/fitness/report.html", "Scatter"),
    "translation": ("runs/translate/report.html", ""),
    "texts": ("runs/label/report.html", ""),
    "plugin": ("runs/GC/report.html", "Scatter"),
    "real-model": ("runs/real/report.html", "Norm"),
    "study": ("studies/sweep-logp/report.html", "Difference"),
}
"""Page -> report that it writes, and how the text of the figure begins that is its picture."""
SMALL: dict[str, Any] = {
    "data": {"size": 60, "check": False},
    "baselines": ["mean"],
    "precision": "fp32",
    "stages": {
        "domain": {"size": 40, "max_steps": 1, "num_evaluations": 1, "tag_length": 2},
        "task": {"max_steps": 1, "num_evaluations": 1, "tag_length": 2},
    },
}
"""What lies under the settings of a page in the place of its preset."""

_FENCE = re.compile(r"```(\w+ [^\n]*)\n(.*?)```", re.S)
_SVG = re.compile(r'<svg [^>]*aria-label="([^"]*)".*?</svg>', re.S)


def pages() -> list[Path]:
    """Return the pages of the examples."""
    return [GALLERY / f"{name}.md" for name in PICTURES]


def play(page: Path, folder: Path) -> list[tuple[str, list[str], str]]:
    """Run a page in a folder.

    Args:
        page: The page.
        folder: An empty folder, which becomes the working folder meanwhile. The embedded backbone
            is put into it as `models/my-model`.

    Returns:
        For each command: the command, the lines that the page shows below it, and its output.

    Raises:
        RuntimeError: when a command fails.
    """
    for table in (GALLERY / "tables").iterdir():
        shutil.copy(table, folder)
    import taglm_nano

    shutil.copytree(taglm_nano.folder(), folder / "models" / "my-model")
    done = []
    with contextlib.chdir(folder), installed(folder / "site"):
        for line, body in _FENCE.findall(page.read_text(encoding="utf-8")):
            option = line.partition(" ")[2]
            if option.startswith("file="):
                Path(option.removeprefix("file=")).write_text(body, encoding="utf-8")
            elif line == "python run":
                exec(compile(body, str(page), "exec"), {})
            elif line == "console run":
                for part in body.replace("\\\n", " ").removeprefix("$ ").split("\n$ "):
                    command, *shown = part.strip("\n").split("\n")
                    done.append((command, shown, run(shlex.split(command)[1:])))
    return done


def run(words: list[str]) -> str:
    """Run `taglm` with words; return what it wrote to both streams.

    Raises:
        RuntimeError: when it fails.
    """
    from taglm_core.cli.main import main

    written, before = io.StringIO(), sys.argv
    sys.argv = ["taglm", *words]
    code: Any = 0
    try:
        with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
            main()
    except SystemExit as leave:
        code = leave.code or 0
    finally:
        sys.argv = before
    if code:
        raise RuntimeError(f"taglm {shlex.join(words)}\n{written.getvalue()}")
    return written.getvalue()


@contextlib.contextmanager
def installed(site: Path) -> Iterator[None]:
    """See the plugin `dna` of examples/plugins as if pip had installed it."""
    facts = site / "taglm_plugin_dna-0.1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Name: taglm-plugin-dna\nVersion: 0.1.0\n")
    (facts / "entry_points.txt").write_text("[taglm]\ndna = taglm_dna\n")
    shutil.copytree(PLUGINS / "dna" / "taglm_dna", site / "taglm_dna")
    sys.path.insert(0, str(site))
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for name in [name for name in sys.modules if name.partition(".")[0] == "taglm_dna"]:
            del sys.modules[name]


def picture(report: Path, begins: str) -> str:
    """Return a figure of a report as SVG.

    Raises:
        LookupError: when no figure's text begins so.
    """
    texts = []
    for found in _SVG.finditer(report.read_text(encoding="utf-8")):
        texts.append(unescape(found[1]))
        if texts[-1].startswith(begins):
            return found[0] + "\n"
    raise LookupError(f"{report}: no figure begins with {begins!r}; there are {texts}")


@contextlib.contextmanager
def made_small(folder: Path) -> Iterator[None]:
    """Let runs inside the block take a tiny random backbone and few steps.

    Args:
        folder: Where the backbone and a tag store are put.
    """
    import taglm_nano
    from taglm_core.testing import tiny_backbone
    from taglm_core.training.presets import PRESETS

    backbone = tiny_backbone("llama")
    backbone.model.save_pretrained(folder / "weights")
    backbone.tokenizer.save_pretrained(folder / "weights")
    before = taglm_nano.folder, dict(PRESETS), dict(os.environ)
    taglm_nano.folder = lambda: folder / "weights"
    PRESETS.update(default=SMALL, quick=SMALL)
    os.environ["TAGLM_HOME"] = str(folder / "home")
    try:
        yield
    finally:
        taglm_nano.folder = before[0]
        PRESETS.update(before[1])
        os.environ.clear()
        os.environ.update(before[2])


def main(names: list[str]) -> None:
    """Run pages and write their pictures."""
    IMAGES.mkdir(exist_ok=True)
    for page in pages():
        if names and page.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder, made_small(Path(folder)):
            work = Path(folder) / "page"
            work.mkdir()
            play(page, work)
            file, begins = PICTURES[page.stem]
            image = IMAGES / f"{page.stem}.svg"
            image.write_text(picture(work / file, begins), encoding="utf-8")
            print(f"wrote {image}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
