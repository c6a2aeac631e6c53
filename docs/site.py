"""Gather the pages of the documentation site: `python docs/site.py` writes build/docs.

Pages of docs/ as they are, notebooks as pages with the outputs that are stored in them, and the
files of the repository that a page links to. `make docs` then builds the site from that folder.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BUILT = ROOT / "build" / "docs"

_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def gather(target: Path = BUILT) -> Path:
    """Write every page into a folder, which is emptied before.

    Args:
        target: The folder.

    Returns:
        The same folder.

    Raises:
        FileNotFoundError: when a page links to a file that does not exist.
    """
    shutil.rmtree(target, ignore_errors=True)
    for source in sorted(DOCS.rglob("*")):
        if source.is_file() and source.suffix in (".md", ".svg", ".png", ".json", ".csv", ".tsv"):
            _put(source, target / source.relative_to(DOCS), target)
        elif source.suffix == ".ipynb":
            page = (target / source.relative_to(DOCS)).with_suffix(".md")
            page.parent.mkdir(parents=True, exist_ok=True)
            notebook = json.loads(source.read_text(encoding="utf-8"))
            page.write_text(notebook_page(notebook), encoding="utf-8")
    return target


def _put(source: Path, page: Path, target: Path) -> None:
    """Copy a file; links of a page that leave docs/ lead to copies of what they name."""
    page.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix != ".md":
        shutil.copyfile(source, page)
        return

    def followed(match: re.Match[str]) -> str:
        name, anchor = match[1], match[2] or ""
        if "://" in name or name.startswith("mailto:"):
            return match[0]
        linked = (source.parent / name).resolve()
        if not linked.exists():
            raise FileNotFoundError(f"{source.relative_to(ROOT)}: no file {name}")
        if linked.is_dir():
            return match[0]
        if DOCS in linked.parents:
            inside = target / linked.relative_to(DOCS)
            inside = inside.with_suffix(".md") if linked.suffix == ".ipynb" else inside
        else:
            inside = target / "repository" / linked.relative_to(ROOT)
            if not inside.exists():
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.touch()
                _put(linked, inside, target)
        return f"]({Path(os.path.relpath(inside, page.parent)).as_posix()}{anchor})"

    page.write_text(_LINK.sub(followed, source.read_text(encoding="utf-8")), encoding="utf-8")


def notebook_page(notebook: dict[str, Any]) -> str:
    """Return a notebook as Markdown: texts, code, and what each cell has shown."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += [_shown(output) for output in cell.get("outputs", ())]
    return "\n\n".join(parts) + "\n"


def _shown(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        return "<div>" + "".join(data["text/html"]).strip() + "</div>"
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f'<img alt="Output of the cell above" src="data:image/png;base64,{picture}">'
    text = "".join(data.get("text/plain", output.get("text", "")))
    return f"```text\n{text.rstrip()}\n```"


if __name__ == "__main__":
    gather()
