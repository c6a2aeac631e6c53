"""The gallery: every example runs as its page shows it, and has a picture of its report."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery"
LARGEST, LARGEST_OF_ALL = 60_000, 12_000_000


def module(name):
    """Import a program of the gallery."""
    spec = importlib.util.spec_from_file_location(name, GALLERY / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


play = module("play")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Let runs take a tiny random backbone and few steps."""
    with play.made_small(tmp_path_factory.mktemp("gallery")):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("page", play.pages(), ids=lambda page: page.stem)
def test_an_example_runs_and_writes_its_report(page, small, tmp_path):
    """Every command of a page succeeds, and its report has the figure that is its picture."""
    (tmp_path / "page").mkdir()
    done = play.play(page, tmp_path / "page")
    assert done or "```python run" in page.read_text()
    file, begins = play.PICTURES[page.stem]
    figure = play.picture(tmp_path / "page" / file, begins)
    text = re.search(r'aria-label="(\w+)', figure)[1]
    assert text in (GALLERY / "images" / f"{page.stem}.svg").read_text()


def test_ten_examples_are_listed_with_a_picture_each():
    """The index links each page and shows its picture, and so does the site's navigation."""
    index = (GALLERY / "index.md").read_text()
    site = (ROOT / "mkdocs.yml").read_text()
    assert len(play.pages()) == 10
    assert {page.stem for page in GALLERY.glob("*.md")} == {"index", *play.PICTURES}
    for name in play.PICTURES:
        assert f"]({name}.md)" in index
        assert f"(images/{name}.svg)" in index
        assert f"(images/{name}.svg)" in (GALLERY / f"{name}.md").read_text()
        assert f"gallery/{name}.md" in site


def test_pictures_are_small_and_load_nothing():
    """Each is one file without scripts or links to others."""
    images = [path for path in (GALLERY / "images").iterdir()]
    assert {path.stem for path in images} == set(play.PICTURES)
    sizes = [path.stat().st_size for path in images]
    assert max(sizes) < LARGEST
    assert sum(sizes) < LARGEST_OF_ALL
    for path in images:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert text.startswith("<svg")
        assert "http" not in text
        assert "<script" not in text


def test_tables_are_those_of_the_program(tmp_path, monkeypatch):
    """`python docs/gallery/tables.py` writes what is there."""
    tables = module("tables")
    monkeypatch.setattr(tables, "TABLES", tmp_path)
    tables.main()
    for file in tmp_path.iterdir():
        assert file.read_text() == (GALLERY / "tables" / file.name).read_text()


def test_a_missing_figure_is_named(tmp_path):
    """The message lists the figures that are there."""
    (tmp_path / "report.html").write_text('<svg aria-label="Scatter of a"></svg>')
    assert play.picture(tmp_path / "report.html", "Scat").startswith("<svg")
    with pytest.raises(LookupError, match="no figure begins with 'Norm'; there are"):
        play.picture(tmp_path / "report.html", "Norm")
