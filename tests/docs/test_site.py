"""The documentation site: every page is in it, no link is broken, nothing is fetched."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="module")
def site():
    """Import docs/site.py."""
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "docs" / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(site, tmp_path_factory):
    """Gather the pages of the site."""
    return site.gather(tmp_path_factory.mktemp("site") / "docs")


def anchors(text):
    """Return the anchors that the headings of a page have."""
    found = set()
    for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
        if re.match(r"#+ ", line):
            title = re.sub(r"[^\w\s-]", "", line.lstrip("#").strip().lower())
            found.add(re.sub(r"[-\s]+", "-", title))
    return found


def test_every_link_leads_somewhere(pages):
    """Pages and headings that are named exist, also where a page links into the repository."""
    checked = 0
    for page in pages.rglob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for name, anchor in re.findall(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)", text):
            if "://" in name or name.startswith("mailto:"):
                continue
            target = (page.parent / name).resolve() if name else page
            assert target.exists(), f"{page.name}: {name}"
            checked += 1
            if anchor and target.suffix == ".md":
                assert anchor in anchors(target.read_text()), f"{page.name}: {name}#{anchor}"
    assert checked > 50


def test_the_navigation_names_every_page(pages):
    """A new page has its place, and no place is empty."""

    def named(item):
        if isinstance(item, str):
            return [item]
        parts = item.values() if isinstance(item, dict) else item
        return [name for part in parts for name in named(part)]

    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = named(config["nav"])
    there = {p.relative_to(pages).as_posix() for p in pages.rglob("*.md")}
    assert set(listed) == {name for name in there if not name.startswith("repository/")}
    assert len(set(listed)) == len(listed)


def test_a_broken_link_is_named(site, tmp_path, monkeypatch):
    """Building stops, with the page and what it names."""
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("See [there](nowhere.md).")
    with pytest.raises(FileNotFoundError, match=r"docs/a.md: no file nowhere.md"):
        site.gather(tmp_path / "built")


def test_notebooks_become_pages_with_their_outputs(site):
    """Text, code, and what each cell has shown."""
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {
            "cell_type": "code",
            "source": ["1 + 1"],
            "outputs": [{"data": {"text/plain": ["2"]}}, {"text": ["said\n"]}],
        },
    ]
    page = site.notebook_page({"cells": cells})
    assert page == "# Title\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n\n```text\nsaid\n```\n"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(pages, tmp_path):
    """Every page is there, none loads anything from another host, the console is silent."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    config |= {"docs_dir": pages.name, "site_dir": "site"}
    root = pages.parent
    (root / "mkdocs.yml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "zensical", "build", "-f", str(root / "mkdocs.yml")]
    done = subprocess.run([*command, "--strict"], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {p.relative_to(root / "site") for p in (root / "site").rglob("*.html")}
    for page in pages.rglob("*.md"):
        name = "index.html" if page.stem == "README" else f"{page.stem}.html"
        assert page.relative_to(pages).with_name(name) in made
    for file in made:
        text = (root / "site" / file).read_text()
        loaded = re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?:[^\" >]+)", text)
        assert loaded == [], file
    if CHROMIUM is None:
        return
    words = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    words += " --disable-background-networking --disable-component-update --enable-logging=stderr"
    command = [CHROMIUM, *words.split(), "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"file://{root}/site/index.html"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "What do you want to do?" in shown.stdout
    assert "CONSOLE" not in shown.stderr
