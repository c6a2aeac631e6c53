"""Record a first session as an animated picture: `python docs/record.py` (some minutes).

The commands really run, in a pseudo terminal, in an empty folder with an empty tag store. The
picture shows what they print, at most `SPEED` times faster, beside the true time. It is one SVG
without scripts and without requests, docs/images/session.svg, which the README shows.
"""

import csv
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import attrs
import pyte

from taglm_core.errors import counted

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "session.svg"
COLUMNS, ROWS = 88, 34
SPEED = 30.0
"""How much faster than it ran a command is shown, at most."""
_PAUSE, _END_PAUSE = 0.2, 3.5
"""Seconds between frames at least, and after a command."""
_CELL, _LINE, _PAD, _BAR = 8.0, 17, 12, 30
"""Width of a character, height of a line, margin and title bar, in pixels."""

SESSION = (
    ("# once: installs taglm and its plugins, and opens a shell", None),
    ("make shell", None),
    ("head -4 lab.csv", "head -4 lab.csv"),
    (
        'taglm run lab.csv --target "LogS (mol/L)" --preset quick',
        'taglm run lab.csv --target "LogS (mol/L)" --preset quick',
    ),
    (
        'taglm predict runs/LogS "CCO" "Oc1ccc(Cl)cc1"',
        'taglm predict runs/LogS "CCO" "Oc1ccc(Cl)cc1"',
    ),
    ("xdg-open runs/LogS/report.html", None),
)
"""What is typed, and the command that runs; None: it is shown only."""


@attrs.frozen
class Style:
    """How characters look."""

    color: str = "default"
    is_bold: bool = False


@attrs.frozen
class Frame:
    """A screen, when it was there, and how long it stays before the session goes on."""

    lines: tuple[tuple[tuple[Style, int, str], ...], ...]
    seconds: float
    pause: float = 0.0


class Recorder:
    """A terminal of a fixed size, and the frames that it has shown."""

    def __init__(self, columns: int = COLUMNS, rows: int = ROWS) -> None:
        """Begin with an empty screen.

        Args:
            columns: Characters of a line.
            rows: Number of lines.
        """
        self._screen = pyte.Screen(columns, rows)
        self._screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.ByteStream(self._screen)
        self.frames: list[Frame] = []
        self.machine = "a machine"
        self._seconds = 0.0

    def type(self, text: str) -> None:
        """Show a prompt and what is typed."""
        self._stream.feed(f"\x1b[1;32m$\x1b[0m \x1b[1m{text}\x1b[0m\n".encode())
        self._keep(1.2)

    def run(self, command: str, folder: Path, environment: Mapping[str, str]) -> int:
        """Run a command of the shell and keep a frame of each change; return its exit code."""
        ours, theirs = pty.openpty()
        size = struct.pack("HHHH", self._screen.lines, self._screen.columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        with subprocess.Popen(
            ["sh", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs,
            cwd=folder, env=dict(environment), start_new_session=True,
        ) as process:  # fmt: skip
            os.close(theirs)
            began, before = time.monotonic(), self._seconds
            for chunk in _chunks(ours):
                self._stream.feed(chunk)
                self._seconds = before + time.monotonic() - began
                self._keep()
        os.close(ours)
        self._seconds = before + time.monotonic() - began
        self._keep(_END_PAUSE)
        return process.returncode

    def _keep(self, pause: float = 0.0) -> None:
        """Keep the screen as a frame."""
        lines = tuple(_runs(self._screen.buffer[y], self._screen.columns) for y in range(ROWS))
        if self.frames and self.frames[-1].lines == lines:
            pause += self.frames.pop().pause
        self.frames.append(Frame(lines, self._seconds, pause))


def timed(frames: Sequence[Frame]) -> tuple[list[tuple[float, Frame]], float]:
    """Return frames with the second at which each is shown, and the end of the last one.

    Frames that would be shown for less than `_PAUSE` seconds are left out.
    """
    found: list[tuple[float, Frame]] = []
    now, before = 0.0, 0.0
    for frame in frames:
        now += (frame.seconds - before) / SPEED
        before = frame.seconds
        if found and now - found[-1][0] < _PAUSE and not found[-1][1].pause:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((now, frame))
        now += frame.pause
    return found, now


def _chunks(descriptor: int) -> Iterator[bytes]:
    """Give what is written to a terminal until its last writer has gone."""
    while True:
        select.select([descriptor], [], [])
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux: nobody holds the other end
            return
        if not chunk:
            return
        yield chunk


def _runs(line: Mapping[int, pyte.screens.Char], width: int) -> tuple[tuple[Style, int, str], ...]:
    """Return the pieces of a line that look alike, with the column where each begins."""
    found: list[tuple[Style, int, str]] = []
    for x in range(width):
        cell = line[x]
        style = Style(cell.fg, cell.bold)
        if found and found[-1][0] == style:
            found[-1] = (style, found[-1][1], found[-1][2] + cell.data)
        else:
            found.append((style, x, cell.data))
    return tuple((style, x, text.rstrip()) for style, x, text in found if text.strip())


_COLORS = {
    "default": "#d8dee9",
    "black": "#4c566a",
    "red": "#ef6b73",
    "green": "#9ccc65",
    "brown": "#e6c15a",
    "blue": "#6fa8dc",
    "magenta": "#c792ea",
    "cyan": "#5ccfe6",
    "white": "#ffffff",
}


def _color(name: str) -> str:
    return _COLORS.get(name, f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else "#d8dee9")


def picture(frames: Sequence[Frame], last: str = "", note: str = "") -> str:
    """Return frames as one animated SVG: a strip of screens that moves behind a window.

    Args:
        frames: The screens.
        last: SVG of a last screen, shown for some seconds more; "": none.
        note: Words for the title bar.
    """
    width = COLUMNS * _CELL + 2 * _PAD
    height = ROWS * _LINE + 2 * _PAD + _BAR
    shown, end = timed(frames)
    total = end + (_END_PAUSE * 2 if last else 0.0)
    lines: dict[tuple[tuple[Style, int, str], ...], str] = {}
    screens, steps = [], []
    for number, (at, frame) in enumerate(shown):
        top = number * height
        uses = []
        for y, line in enumerate(frame.lines):
            if line:
                key = lines.setdefault(line, f"l{len(lines)}")
                place = top + _BAR + _PAD + (y + 1) * _LINE - 4
                uses.append(f'<use href="#{key}" x="{_PAD}" y="{place:g}"/>')
        clock = f"{int(frame.seconds) // 60}:{int(frame.seconds) % 60:02d}"
        uses.append(
            f'<text class="t c" x="{width - _PAD}" y="{top + 20:g}">true time {clock}</text>'
        )
        screens.append("".join(uses))
        steps.append(f"{100 * at / total:.2f}%{{transform:translateY({-top:g}px)}}")
    if last:
        top = len(shown) * height
        screens.append(f'<g transform="translate(0 {top + _BAR:g})">{last}</g>')
        steps.append(f"{100 * end / total:.2f}%{{transform:translateY({-top:g}px)}}")
    rest = f"translateY({-(len(screens) - 1) * height:g}px)"
    defined = "".join(f'<g class="l" id="{key}">{_line(line)}</g>' for line, key in lines.items())
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" \
height="{height:g}" role="img" aria-label="{escape(_ALT, quote=True)}">
<style>
.l text,.t{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
white-space:pre;fill:{_COLORS["default"]}}}
.l .b{{font-weight:bold}} .c{{text-anchor:end}} .t{{fill:#8a93a5}}
#film{{animation:film {total:.1f}s step-end infinite}}
@keyframes film{{{"".join(steps)}}}
@media (prefers-reduced-motion:reduce){{#film{{animation:none;transform:{rest}}}}}
</style>
<defs>{defined}</defs>
<rect width="100%" height="100%" rx="8" fill="#1e2430"/>
<g id="film">
{chr(10).join(screens)}
</g>
<text class="t" x="{_PAD}" y="20">{escape(note)}</text>
</svg>
"""


_ALT = "A terminal: taglm run learns LogS from lab.csv, taglm predict predicts two molecules"


def _line(line: Sequence[tuple[Style, int, str]]) -> str:
    """Return the pieces of a line; each is stretched to its columns, whatever the font."""
    found = []
    for style, x, text in line:
        bold = ' class="b"' if style.is_bold else ""
        fill = "" if style.color == "default" else f' style="fill:{_color(style.color)}"'
        found.append(
            f'<text x="{x * _CELL:g}" textLength="{len(text) * _CELL:g}"{bold}{fill}>'
            f"{escape(text, quote=False)}</text>"
        )
    return "".join(found)


def report_screen(report: str, sentence: str) -> str:
    """Return a screen with the beginning of a report: its sentence and its first chart."""
    width, height = COLUMNS * _CELL + 2 * _PAD, ROWS * _LINE + 2 * _PAD
    chart = re.search(r'<figure><svg[^>]*viewBox="([^"]*)"[^>]*?( font[^>]*)>(.*?)</svg>', report)
    assert chart is not None, "the report has no chart"
    first, _, second = sentence.partition(", ")
    words = ((36, 18, "runs/LogS/report.html"), (66, 14, first), (88, 14, second))
    text = "".join(
        f'<text x="{_PAD * 2}" y="{y}" fill="#1a1a1a" font-family="system-ui,sans-serif" '
        f'font-size="{size}">{escape(part)}</text>'
        for y, size, part in words
    )
    return (
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>{text}<svg x="60" y="110" '
        f'viewBox="{chart[1]}" width="{width - 120:g}" height="{height - 130:g}"{chart[2]}>'
        f"{chart[3]}</svg>"
    )


def write_lab(path: Path) -> None:
    """Write the embedded known drugs with LogS by Delaney's formula (2004), computed by RDKit."""
    from rdkit import Chem
    from rdkit.Chem import Crippen, Descriptors, rdMolDescriptors

    with (ROOT / "plugins" / "chem" / "taglm_chem" / "drugs.csv").open() as file:
        drugs = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Compound", "Structure", "LogS (mol/L)"])
        for drug in drugs:
            mol = Chem.MolFromSmiles(drug["smiles"])
            aromatic = sum(atom.GetIsAromatic() for atom in mol.GetAtoms())
            solubility = 0.16 - 0.63 * Crippen.MolLogP(mol) - 0.0062 * Descriptors.MolWt(mol)
            solubility += 0.066 * rdMolDescriptors.CalcNumRotatableBonds(mol)
            solubility -= 0.74 * aromatic / mol.GetNumHeavyAtoms()
            writer.writerow([drug["name"], drug["smiles"], f"{solubility:.2f}"])


def main() -> None:
    """Record the session and write the picture."""
    folder = Path(tempfile.mkdtemp())
    recorder = record(folder)
    text = drawn(recorder, folder)
    PICTURE.write_text(text, encoding="utf-8")
    print(f"{PICTURE}: {len(text) / 1000:.0f} kB, {len(recorder.frames)} screens")
    shutil.rmtree(folder)


def record(folder: Path) -> Recorder:
    """Run the session in an empty folder."""
    write_lab(folder / "lab.csv")
    environment = {
        **os.environ,
        "TAGLM_HOME": str(folder / "home"),
        "TERM": "xterm-256color",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    recorder = Recorder()
    for typed, command in SESSION:
        recorder.type(typed)
        if command is not None and recorder.run(command, folder, environment) != 0:
            raise SystemExit(f"{command}: failed in {folder}")
    cores = len(os.sched_getaffinity(0))
    recorder.machine = counted(cores, "core")
    if os.getloadavg()[1] > 1.5 * cores:
        recorder.machine += " shared with other work"
    return recorder


def drawn(recorder: Recorder, folder: Path) -> str:
    """Return the picture of a recorded session."""
    from taglm_core.plugin import verdict

    run = folder / "runs" / "LogS"
    task = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["tasks"]["LogS"]
    report = (run / "report.html").read_text(encoding="utf-8")
    last = report_screen(report, verdict("LogS", task) or "")
    note = f"recorded on {recorder.machine}; shown up to {SPEED:g} times faster"
    return picture(recorder.frames, last, note)


if __name__ == "__main__":
    main()
