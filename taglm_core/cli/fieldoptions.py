"""Options that name a column, one for each field of the registered domains."""

import functools
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from taglm_core.plugins import Registry

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TEXT = "text"


def with_field_options(command: Callable[..., None], registry: "Registry") -> Callable[..., None]:
    """Return a command that takes the column of each field by an option of the field's name.

    Of the field `smiles` the option is short for `--column smiles=Structure`. Fields of the LM's
    own tokenizer, such as languages, are not listed in the help.

    Args:
        command: Has the parameter `column`, a list of `FIELD=COLUMN`.
        registry: Whose domains.
    """
    signature = inspect.signature(command)
    taken = {name.replace("_", "-") for name in signature.parameters} | {"help", "set"}
    fields: dict[str, Any] = {}
    for item in registry.domains:
        field = item.spec.field
        if _NAME.fullmatch(field) and field not in taken:
            fields.setdefault(field, item)

    @functools.wraps(command)
    def called(**values: Any) -> None:
        given = {field: values.pop(_parameter(field)) for field in fields}
        pairs = [f"{field}={column}" for field, column in given.items() if column is not None]
        if pairs:
            values["column"] = [*(values["column"] or ()), *pairs]
        command(**values)

    added = [
        inspect.Parameter(
            _parameter(field),
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_option(field, item),
        )
        for field, item in fields.items()
    ]
    parameters = list(signature.parameters.values())
    place = list(signature.parameters).index("column") + 1
    ordered = [*parameters[:place], *added, *parameters[place:]]
    keyword = inspect.Parameter.KEYWORD_ONLY
    called.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[parameter.replace(kind=keyword) for parameter in ordered]
    )
    called.__annotations__ = {each.name: each.annotation for each in ordered}
    return called


def _parameter(field: str) -> str:
    return f"column_of_{field.replace('-', '_')}"


def _option(field: str, item: Any) -> Any:
    option = typer.Option(
        f"--{field}",
        metavar="COLUMN",
        help=f"Column that holds <{item.spec.tag}>; short for --column {field}=COLUMN.",
        hidden=item.spec.encoder == _TEXT,
    )
    return Annotated[str | None, option]
