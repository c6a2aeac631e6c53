"""Each check of `taglm doctor` sees the fault that it is for, and says what to do."""

import importlib.metadata
import types
from pathlib import Path

import pluggy
import pytest

import taglm_core as taglm
from taglm_core.cli import checks
from taglm_core.cli.checks import Looked, run_checks
from taglm_core.plugins import load_registry

hookimpl = pluggy.HookimplMarker("taglm")


@pytest.fixture
def looked(tmp_path):
    """Return what the checks look at: the core and nothing else, in an empty folder."""
    return Looked(registry=load_registry(only=()), backbone="nano", folder=tmp_path)


def lines_of(check, looked):
    """Run one check."""
    return list(check(looked))


def only(lines, status):
    """Return the only line of a status."""
    (line,) = [line for line in lines if line.status == status]
    return line


def with_plugin(tmp_path, **hooks):
    """Return what the checks look at, with one more plugin."""
    made = types.SimpleNamespace()
    for name, function in hooks.items():
        function.__name__ = name
        setattr(made, name, hookimpl(function))
    registry = load_registry(only=(), extra=[("mine", made)])
    return Looked(registry=registry, backbone="nano", folder=tmp_path)


def test_a_healthy_installation_has_no_failure(looked):
    """The installation that runs these tests passes, backbone included."""
    looked = Looked(registry=load_registry(), backbone="nano", folder=looked.folder)
    lines = run_checks(looked)
    assert [line for line in lines if line.status == "fail"] == []
    assert any(line.check == "backbone" and "fingerprint" in line.found for line in lines)


def test_a_requirement_that_is_not_met(looked, monkeypatch):
    """A library outside the declared range is named with both versions."""
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "4.1" if name == "transformers" else real(name)
    )
    line = only(lines_of(checks._versions, looked), "fail")
    assert line.check == "requirements of taglm"
    assert "transformers" in line.found
    assert "4.1 is installed" in line.found
    assert "pip install --upgrade" in line.advice


def test_a_library_that_is_missing(looked, monkeypatch):
    """A requirement that is not there at all is named."""
    real = importlib.metadata.version

    def absent(name):
        if name == "pyarrow":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    line = only(lines_of(checks._versions, looked), "fail")
    assert "pyarrow" in line.found
    assert "but not installed" in line.found


def test_a_torch_build_without_its_device(looked, monkeypatch):
    """A GPU build that sees no GPU is a warning, since the CPU is used."""
    import torch

    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    line = only(lines_of(checks._torch, looked), "warn")
    assert "GPU 12.4" in line.found
    assert "nvidia-smi" in line.advice


@pytest.mark.parametrize(("threads", "advice"), [(512, "are no faster"), (0, "idle")])
def test_threads_that_do_not_fit(threads, advice, looked, monkeypatch):
    """Too many threads and too few are warnings with the variable to set."""
    import torch

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    line = only(lines_of(checks._threads, looked), "warn")
    assert "OMP_NUM_THREADS" in line.advice
    assert advice in line.advice


def test_a_plugin_that_fails(tmp_path):
    """Each failure is a line with plugin, distribution, version, hook and reason."""

    def fails():
        raise ValueError("not today")

    line = only(lines_of(checks._plugins, with_plugin(tmp_path, register_tasks=fails)), "fail")
    for words in ("'mine'", "extra 0", "register_tasks", "not today"):
        assert words in line.found
    assert "pip" in line.advice


def test_a_name_in_taglm_plugins_that_nobody_has(tmp_path, monkeypatch):
    """A misspelt name in the variable is a warning that offers the nearest."""
    monkeypatch.setenv("TAGLM_PLUGINS", "chim")
    looked = Looked(registry=load_registry(), backbone="nano", folder=tmp_path)
    line = only(lines_of(checks._plugins, looked), "warn")
    assert "Did you mean 'chem'" in line.found


def test_a_reference_that_leads_nowhere(tmp_path):
    """What a plugin names but does not bring is found before a run needs it."""
    domain = taglm.Domain(tag="X", field="x", encoder="nowhere_at_all:Encoder")
    task = taglm.Task(
        name="T",
        function_tag="T",
        template="<X>{x}<T>",
        target=taglm.Regression(names="y", compute="nowhere_at_all:labels"),
    )
    looked = with_plugin(tmp_path, register_domains=lambda: [domain], register_tasks=lambda: [task])
    found = [line.found for line in lines_of(checks._references, looked) if line.status == "fail"]
    assert len(found) == 2
    assert "domain X, encoder" in found[0]
    assert "task T, target.compute" in found[1]


def test_an_optional_split_is_named_with_what_it_lacks(looked, monkeypatch):
    """Extras are information, never a failure."""
    monkeypatch.setattr(checks, "_is_installed", lambda name: name != "openpyxl")
    lines = {line.check: line for line in lines_of(checks._extras, looked)}
    assert {line.status for line in lines.values()} == {"ok"}
    assert lines["extra taglm[excel]"].found == "not installed (openpyxl)"


def store_entry(home):
    """Make a folder where the store keeps an artifact."""
    folder = home / "tags" / "abc" / "chem" / "SMILES" / "0123456789abcdef"
    folder.mkdir(parents=True)
    return folder


def test_a_damaged_artifact_in_the_store(looked, tmp_path, monkeypatch):
    """It is named with its folder; deleting it is safe, since tags are trained again."""
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path))
    folder = store_entry(tmp_path)
    (folder / "config.json").write_text("{")
    line = only(lines_of(checks._store, looked), "fail")
    assert str(folder) in line.found
    assert f"Delete {folder}" in line.advice


def test_a_store_that_cannot_be(looked, tmp_path, monkeypatch):
    """A file in the place of the store's folder is a failure."""
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TAGLM_HOME", str(tmp_path / "file"))
    line = only(lines_of(checks._store, looked), "fail")
    assert "TAGLM_HOME" in line.advice


def test_a_backbone_that_cannot_be_loaded(tmp_path):
    """Weights that are damaged give a failure with the command that fixes it."""
    (tmp_path / "config.json").write_text("{}")
    looked = Looked(registry=load_registry(only=()), backbone=str(tmp_path), folder=tmp_path)
    line = only(lines_of(checks._backbone, looked), "fail")
    assert "no weights" in line.found
    assert "taglm-backbone-nano" in line.advice


@pytest.mark.parametrize(("free", "status"), [(10**9, "warn"), (10**6, "fail")])
def test_a_full_disk(free, status, looked, monkeypatch):
    """Little room warns, none fails, for runs and for the store."""
    usage = types.SimpleNamespace(free=free)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: usage)
    lines = lines_of(checks._disk, looked)
    assert [line.status for line in lines] == [status, status]
    assert all("Free disk space" in line.advice for line in lines)


def test_a_working_folder_that_refuses_files(looked, monkeypatch):
    """A folder without write permission is a failure."""

    def refused(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checks.tempfile, "TemporaryFile", refused)
    line = only(lines_of(checks._working_folder, looked), "fail")
    assert "Permission denied" in line.found
    assert "--out" in line.advice


def test_a_check_that_breaks_is_a_line_of_its_own(looked, monkeypatch):
    """A library that cannot even be imported does not hide the other checks."""

    def broken(looked):
        raise ImportError("libcudart.so.12: cannot open shared object file")
        yield

    monkeypatch.setattr(checks, "_torch", broken)
    monkeypatch.setattr(checks, "_backbone", lambda looked: iter(()))
    lines = run_checks(looked)
    line = only([line for line in lines if line.check == "torch"], "fail")
    assert "libcudart" in line.found
    assert Path("working folder").name in {line.check for line in lines}
