"""Package plugin packages of every kind, as real distributions, and a script that proves isolation.

Run `python tests/broken_plugins.py` to install them one after another beside the real plugins: the
program works each time, a small run gives the same numbers, every failure is reported.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import attrs

IMPORT = "import taglm_core as taglm\n\n\n"
TASK = (
    "taglm.Task(name={0!r}, function_tag={0!r}, template='x<{0}>', "
    "target=taglm.Regression(names='y'))"
)


def hook(name, body, arguments=""):
    """Return the source of one decorated hook."""
    return f"@taglm.hookimpl\ndef {name}({arguments}):\n    {body}\n\n\n"


@attrs.frozen(kw_only=True)
class Package:
    """A plugin package, and what must be said of it if it is broken."""

    kind: str
    source: str = ""
    """Text of the plugin's module."""
    name: str = ""
    """Name of the entry point; empty: the kind."""
    entry_points: str = ""
    """Text of entry_points.txt; empty: the entry point to the module."""
    requires: tuple[str, ...] = ()
    reports: tuple[tuple[str, str], ...] = ()
    """(hook, words of the reason) of each failure that must be reported."""
    modules: tuple[tuple[str, str], ...] = ()
    """Further modules, name and text."""
    task: str = "QED"
    """How the task of the comparison is named beside this plugin."""

    @property
    def module(self):
        """Name of the plugin's module."""
        return f"broken_{self.kind.replace('-', '_')}"

    breaks_libraries: bool = False
    """Whether torch and transformers, which read every distribution's metadata, fail beside it:
    nothing can be run then, but the program says why."""

    @property
    def distribution(self):
        """Name of the distribution."""
        return f"taglm-broken-{self.kind}"


VERSION = "7.1"

KINDS = (
    Package(
        kind="raises-on-import",
        source="raise RuntimeError('no license key')\n",
        reports=(("import", "RuntimeError: no license key"),),
    ),
    Package(
        kind="exits-on-import",
        source="import sys\n\nsys.exit('goodbye')\n",
        reports=(("import", "SystemExit: goodbye"),),
    ),
    Package(
        kind="syntax-error",
        source="def register_tasks(:\n",
        reports=(("import", "SyntaxError"),),
    ),
    Package(
        kind="missing-library",
        source="import surely_not_installed\n",
        reports=(("import", "No module named 'surely_not_installed'"),),
    ),
    Package(
        kind="missing-attribute",
        source="",
        entry_points="[taglm]\nmissing-attribute = broken_missing_attribute:plugin\n",
        reports=(("import", "has no attribute 'plugin'"),),
    ),
    Package(
        kind="missing-module",
        entry_points="[taglm]\nmissing-module = nowhere_to_be_found\n",
        reports=(("import", "No module named 'nowhere_to_be_found'"),),
    ),
    Package(
        kind="unreadable-metadata",
        source=IMPORT,
        entry_points="[taglm]\nthis line has no equals sign\n",
        name="taglm-broken-unreadable-metadata",
        reports=(("metadata", "entry_points.txt cannot be read"),),
        breaks_libraries=True,
    ),
    Package(
        kind="raises-on-registration",
        source=IMPORT + hook("register_tasks", "raise ValueError('not today')"),
        reports=(("register_tasks", "ValueError: not today"),),
    ),
    Package(
        kind="wrong-types",
        source=IMPORT
        + hook("register_tasks", f"return ['QED', {TASK.format('Kept')}, object()]")
        + hook("register_domains", "yield 1")
        + hook("register_metrics", "return 3"),
        reports=(
            ("register_tasks", "gave 'QED' of type str, expected Task"),
            ("register_tasks", "item 3"),
            ("register_domains", "generator"),
            ("register_metrics", "returned 3, expected a list of Metric"),
        ),
    ),
    Package(
        kind="misspelt-hook",
        source=IMPORT + hook("register_tusks", "return []"),
        reports=(("register_tusks", "Did you mean 'register_tasks'"),),
    ),
    Package(
        kind="newer-hooks",
        source=IMPORT
        + hook("register_optimizers", "return []")
        + hook("register_splitters", "return []", "context"),
        requires=("taglm>=99",),
        reports=(
            ("register_optimizers", "needs a newer taglm: taglm>=99 is required"),
            ("register_splitters", "unknown argument 'context'"),
        ),
    ),
    Package(
        kind="taken-short-name",
        source=IMPORT + hook("register_tasks", f"return [{TASK.format('QED')}]"),
        task="chem/QED",
    ),
    Package(
        kind="taken-plugin-name",
        name="chem",
        source=IMPORT + hook("register_tasks", f"return [{TASK.format('Other')}]"),
        entry_points="[taglm]\nchem = broken_taken_plugin_name\n",
        reports=(("registration", "already taken by taglm-plugin-chem"),),
    ),
    Package(
        kind="bad-commands",
        source=IMPORT
        + hook(
            "register_commands",
            "return [taglm.Command(name='run', help='x', app='broken_bad_commands:app'),\n"
            "            taglm.Command(name='explode', help='x', app='broken_explosive:app')]",
        ),
        modules=(("broken_explosive", "raise SystemExit('boom')\n"),),
        reports=(("register_commands", "the command 'run' is one of taglm itself"),),
    ),
    Package(
        kind="bad-events",
        source=IMPORT
        + hook("on_stage_started", "raise SystemExit(event.stage)", "event")
        + hook("on_evaluated", "return {'tset': {}}", "event")
        + hook("on_run_finished", "raise RuntimeError('after the end')", "event"),
    ),
    Package(
        kind="noisy", source="print('look at me')\n" + IMPORT + hook("on_run_finished", "pass")
    ),
)


def write_distribution(folder, broken):
    """Write module and metadata as pip would lay them out, ready for PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    if broken.source or "missing-module" not in broken.kind:
        (folder / f"{broken.module}.py").write_text(broken.source)
    for name, text in broken.modules:
        (folder / f"{name}.py").write_text(text)
    info = folder / f"{broken.distribution.replace('-', '_')}-{VERSION}.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {line}\n" for line in broken.requires)
    head = f"Metadata-Version: 2.1\nName: {broken.distribution}\nVersion: {VERSION}\n"
    (info / "METADATA").write_text(head + requires)
    points = broken.entry_points or f"[taglm]\n{broken.kind} = {broken.module}\n"
    (info / "entry_points.txt").write_text(points)
    return folder


def write_wheel(folder, broken):
    """Write a wheel that pip installs, and return its path."""
    laid = write_distribution(folder / "laid", broken)
    (info,) = laid.glob("*.dist-info")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    path = folder / f"{info.stem}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w") as wheel:
        for file in sorted(p for p in laid.rglob("*") if p.is_file()):
            name, content = file.relative_to(laid).as_posix(), file.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
            record.append(f"{name},sha256={digest.decode()},{len(content)}")
            wheel.writestr(name, content)
        name = f"{info.name}/RECORD"
        wheel.writestr(name, "\n".join([*record, f"{name},,"]) + "\n")
    return path


MAIN = ("-m", "taglm_core.cli.main")
LIST_AND_HELP = """
import sys
from taglm_core.cli.main import main

for words in (["plugins", "--json"], ["--help"]):
    sys.argv = ["taglm", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def call(*words, folders=(), code=0, python=sys.executable, start=MAIN, **variables):
    """Run `taglm` in a fresh process with further folders on the path; give its stdout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TAGLM_")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    environment |= {key: str(value) for key, value in variables.items()}
    program = [python, *start, *map(str, words)]
    done = subprocess.run(program, env=environment, capture_output=True, text=True)
    if done.returncode != code:
        raise AssertionError(f"{words}: code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout if code == 0 else done.stderr


SMALL = (
    "data.size=120",
    "data.split.method=random",
    "stages.domain.size=100",
    "stages.domain.max_steps=2",
    "stages.task.max_steps=2",
    "precision=fp32",
    "baselines=[mean,nearest]",
)


def small_run(out, folders=(), task="QED", **options):
    """Train the small deterministic task in a tag store of its own; give its metrics."""
    settings = [word for value in SMALL for word in ("--set", value)]
    call(
        *("run", task, "--preset", "quick", *settings, "--out", out / "run"),
        folders=folders,
        TAGLM_HOME=out / "home",
        **options,
    )
    splits = json.loads((out / "run" / "metrics.json").read_text())["tasks"]["QED"]["splits"]
    stages = json.loads((out / "run" / "metrics.json").read_text())["tasks"]["QED"]["stages"]
    losses = [stage["history"] for stage in stages]
    return {"splits": splits, "history": _without_times(losses)}


def _without_times(value):
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if "seconds" not in k}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def check_reports(broken, listing):
    """Demand that each failure is listed with plugin, distribution, version, hook and reason."""
    own = [f for f in listing["failures"] if f["distribution"] == broken.distribution]
    for wanted, words in broken.reports:
        fitting = [f for f in own if f["hook"] == wanted and words in f["reason"]]
        assert fitting, f"{broken.kind}: no failure of {wanted} with '{words}' among {own}"
        assert fitting[0]["plugin"] == (broken.name or broken.kind)
        assert fitting[0]["version"] == VERSION
        assert "\n" not in fitting[0]["reason"]
    assert bool(own) == bool(broken.reports), own


def check_program(broken, folders, others):
    """Demand that the program lists and works beside a broken plugin."""
    # the list comes first, so that what a plugin prints when it is imported would be in it
    written = call(folders=folders, start=("-c", LIST_AND_HELP))
    listing, end = json.JSONDecoder().raw_decode(written)
    assert "predict" in written[end:]
    check_reports(broken, listing)
    found = {plugin["name"]: plugin["registers"] for plugin in listing["plugins"]}
    for name, registers in others.items():
        assert found[name] == registers, name
    return listing


def main():
    """Install every kind beside those before it, and show one line for each."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        healthy = json.loads(call("plugins", "--json"))
        others = {plugin["name"]: plugin["registers"] for plugin in healthy["plugins"]}
        expected = small_run(root / "healthy")
        folders, task = [], "QED"
        for broken in KINDS:
            folders.append(write_distribution(root / broken.kind, broken))
            if broken.breaks_libraries:
                check_program(broken, folders, others)
                folders.pop()
                sys.stdout.write(f"{broken.kind}: reported; other libraries fail, so no run\n")
                continue
            task = broken.task if broken.task != "QED" else task
            listing = check_program(broken, folders, others)
            found = small_run(root / "runs" / broken.kind, folders, task)
            assert found == expected, f"{broken.kind}: {found} against {expected}"
            own = [f for f in listing["failures"] if f["distribution"] == broken.distribution]
            sys.stdout.write(f"{broken.kind}: same metrics; {len(own)} failures reported\n")
            for failure in own:
                sys.stdout.write(
                    f"  {failure['plugin']} ({failure['distribution']} {failure['version']}), "
                    f"{failure['hook']}: {failure['reason']}\n"
                )
    sys.stdout.write(f"all {len(KINDS)} kinds: the program works, the numbers are the same\n")


if __name__ == "__main__":
    main()
