"""Collect the texts that a person can read: errors, warnings, questions, output and help.

The texts come from the syntax trees of the sources. What varies is shown as {name}; a text that is
chosen by a condition as {one | other}.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "errors": "Errors",
    "warnings": "Warnings",
    "questions": "Questions",
    "progress": "Progress and remarks while a command runs",
    "output": "Output",
    "help": "Help",
    "other": "Further texts: pieces of messages, remarks, tables, files and pages",
}
"""Kind -> its title, in the order of the page."""

_CALLS = {
    "warnings": {"warning", "warn", "exception"},
    "questions": {"ask", "prompt", "confirm"},
    "progress": {"say", "info", "stage", "note", "detail", "progress_bar", "start"},
    "output": {"print", "echo", "print_note", "print_table", "print_facts"},
    "errors": {"BadParameter", "UsageError", "HTTPException", "fail", "exit", "Refused"},
}
_HELP = {"Option", "Argument", "Typer", "Command", "add_argument"}
_TECHNICAL = {"compile", "sub", "split", "fullmatch", "search", "match", "findall", "finditer"}
_TECHNICAL |= {
    "counted",
    "debug",
    "replace",
    "strip",
    "getLogger",
    "import_module",
    "getattr",
    "encode",
}
_TECHNICAL |= {"startswith", "endswith", "removeprefix", "removesuffix", "spec_from_loader"}
_SILENT_KEYWORDS = {"template", "templates", "metavar", "style", "rich_markup_mode", "pattern"}
_WORD = re.compile(r"[A-Za-z]{2,}")
_CODE = re.compile(r"^\s*(import|from|def|class|for|with) |[{;]\s*$|^\s*[.#@][\w-]+ *\{|^<[a-z/!]")


def sources() -> list[tuple[str, list[Path]]]:
    """Return the rooms of the core and the plugins with their files, in the order of the page."""
    rooms: dict[str, list[Path]] = {}
    core = ROOT / "taglm_core"
    packages = sorted((ROOT / "plugins").glob("*/taglm_*"))
    for file in (f for folder in [core, *packages] for f in sorted(folder.rglob("*.py"))):
        parts = file.relative_to(ROOT).parts
        if "templates" in parts:  # a plugin that `taglm new-plugin` writes
            continue
        is_core = parts[0] == "taglm_core"
        name = "/".join(parts[: 2 if is_core and len(parts) > 2 else 1 if is_core else 2])
        rooms.setdefault(name, []).append(file)
    return list(rooms.items())


def texts(file: Path) -> list[tuple[str, str]]:
    """Return kind and text of what a person can read in a file, in the order of the source."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [(kind, _tidy(text)) for kind, text in _Reader().visit(tree, "other")]
    return list(dict.fromkeys((kind, text) for kind, text in found if _is_read(kind, text)))


def messages_page() -> str:
    """Return the page of messages, by room and kind."""
    lines = ["# Messages", "", INTRO, ""]
    for room, files in sources():
        held = [(file, kind, text) for file in files for kind, text in texts(file)]
        lines += [f"## {room}", ""] if held else []
        for kind, title in KINDS.items():
            own = [(file, text) for file, k, text in held if k == kind]
            lines += [f"### {title}", ""] if own else []
            for file in dict.fromkeys(file for file, _ in own):
                inner = file.relative_to(ROOT / room).as_posix()
                lines += [f"`{inner}`", ""]
                lines += [f"- {_shown(text)}" for f, text in own if f == file]
                lines.append("")
    return "\n".join(lines).rstrip() + "\n"


INTRO = """\
All texts that a person can read, for those who write or translate them, and to find where a message
comes from. `{name}` is what varies, `{one | other}` a choice. A message that is put together from
pieces stands here in pieces. Generated from the code."""


class _Reader:
    """Walks a syntax tree and gives (kind, text); a kind holds for all below a call."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}  # of local names that a message is made of
        self.options: set[str] = set()  # names of the module that stand for options of a command

    def visit(self, node: ast.AST, kind: str) -> Iterator[tuple[str, str]]:
        """Give the texts below a node."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from self._function(node)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").startswith("taglm_core.cli"):
                self.options.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from self._call(node, kind)
        elif _is_text(node):
            yield kind, _rendered(node)
            for inner in _calls_inside(node):
                yield from self.visit(inner, kind)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            yield from self._assignment(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            pass  # a docstring, or the note of a setting
        elif isinstance(node, ast.Compare | ast.Subscript) and not _has_call(node):
            pass  # keys, and values that are compared
        else:
            for inner in ast.iter_child_nodes(node):
                yield from self.visit(inner, kind)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
        before, self.kinds = self.kinds, _kinds_of_names(node)
        arguments = [*node.args.args, *node.args.kwonlyargs]
        options = [a.annotation for a in arguments if a.annotation and _has_call(a.annotation)]
        described = [text for option in options for text in self._options(option)]
        named = (n for a in arguments if a.annotation for n in ast.walk(a.annotation))
        names = [n.id for n in named if isinstance(n, ast.Name)]
        if not node.name.startswith("_") and (described or self.options.intersection(names)):
            yield "help", ast.get_docstring(node) or ""
        yield from described
        for statement in node.body:
            yield from self.visit(statement, "other")
        self.kinds = before

    def _options(self, annotation: ast.AST) -> Iterator[tuple[str, str]]:
        calls = [inner for inner in ast.walk(annotation) if isinstance(inner, ast.Call)]
        return (
            text for call in calls if _name(call.func) in _HELP for text in self._call(call, "help")
        )

    def _call(self, node: ast.Call, kind: str) -> Iterator[tuple[str, str]]:
        name = _name(node.func)
        if name in _TECHNICAL:
            return
        is_help = name in _HELP
        own = "help" if is_help else _kind_of_call(node) or kind
        yield from self.visit(node.func, kind)
        for argument in node.args:
            if not is_help:
                yield from self.visit(argument, own)
        for keyword in node.keywords:
            if keyword.arg == "help" or (not is_help and keyword.arg not in _SILENT_KEYWORDS):
                yield from self.visit(keyword.value, "help" if keyword.arg == "help" else own)

    def _assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.AugAssign
    ) -> Iterator[tuple[str, str]]:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        kind = next((self.kinds[n] for n in names if n in self.kinds), "other")
        if any(isinstance(n, ast.Call) and _name(n.func) in _HELP for n in ast.walk(node)):
            self.options.update(names)
        if node.value is not None:
            yield from self.visit(node.value, kind)


def _kinds_of_names(function: ast.AST) -> dict[str, str]:
    """Return the local names that stand in a call which shows a message, with its kind."""
    found: dict[str, str] = {}
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    for call, kind in ((call, _kind_of_call(call)) for call in calls):
        for inner in (n for a in call.args for n in ast.walk(a)) if kind is not None else ():
            if isinstance(inner, ast.Name):
                found.setdefault(inner.id, kind)
    return found


def _kind_of_call(call: ast.Call) -> str | None:
    name = _name(call.func)
    if name.endswith("Error"):
        return "errors"
    return next((kind for kind, names in _CALLS.items() if name in names), None)


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr)


def _calls_inside(node: ast.AST) -> Iterator[ast.AST]:
    """Give the expressions of a text whose own texts are not shown in it."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Call | ast.ListComp | ast.GeneratorExp):
            yield inner
        elif not isinstance(inner, ast.Constant):
            yield from _calls_inside(inner)


def _has_call(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Call) for inner in ast.walk(node))


def _rendered(node: ast.AST) -> str:
    """Return a text as on the page: what varies by its name in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_rendered, node.values))
    if isinstance(node, ast.BinOp) and _is_text(node):
        return _rendered(node.left) + _rendered(node.right)
    if isinstance(node, ast.FormattedValue):
        return _rendered(node.value)
    if isinstance(node, ast.Call) and _name(node.func) == "counted":
        return f"{{{_described(node)}}} {getattr(node.args[1], 'value', '')}s"
    return f"{{{_described(node)}}}"


def _described(node: ast.AST) -> str:
    """Return a name for an expression."""
    if isinstance(node, ast.IfExp):
        return " | ".join(_choice(part) for part in (node.body, node.orelse))
    if isinstance(node, ast.Call):
        return _described(node.args[0]) if node.args else _name(node.func)
    if isinstance(node, ast.Subscript):
        key = node.slice
        is_key = isinstance(key, ast.Constant) and isinstance(key.value, str)
        return str(key.value) if is_key else _described(node.value)
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return _described(node.generators[0].iter)
    if isinstance(node, ast.BinOp):
        return _described(node.left)
    if isinstance(node, ast.BoolOp):
        return _described(node.values[0])
    if isinstance(node, ast.Starred | ast.NamedExpr):
        return _described(node.value)
    if isinstance(node, ast.Constant):
        return str(node.value)
    return _name(node) or "..."


def _choice(node: ast.AST) -> str:
    return _rendered(node) if _is_text(node) else _described(node)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _is_read(kind: str, text: str) -> bool:
    """Return whether a text is one for a person, rather than a key, a path or code."""
    words = _WORD.findall(re.sub(r"\{[^{}]*\}", "", text))
    if kind == "other":
        return len(words) > 2 and " " in text and not _CODE.search(text)
    return bool(words) and (" " in text or kind in ("questions", "output", "help"))


def _shown(text: str) -> str:
    """Return a text as a line of Markdown that shows its characters."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(p if p[:1] == "`" else re.sub(r"([<*\\])", r"\\\1", p) for p in pieces)
