"""Content fingerprints: equal content, equal name, on every machine."""

import datetime
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args, get_origin

import attrs
import numpy as np

NO_EFFECT = {"has_effect": False}
"""Metadata of a field that changes no result, so that no fingerprint holds it."""
AS_BEFORE = "as_before"
"""Key of a field's metadata: the default that it had before. A default may only change together
with this, or what was trained under the old one would be taken for the new."""


def fingerprint_of(content: Any) -> str:
    """Return a short hash of plain data, independent of the order of keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta | bytes | Decimal):
        return [type(value).__name__, str(value)]
    raise TypeError(f"no fingerprint of {type(value).__name__}")


def lean(value: Any) -> Any:
    """Return settings, a target or a task as plain data, without values that equal their defaults.

    So a field that is added later changes no fingerprint until somebody sets it.
    """
    if attrs.has(type(value)):
        kind = getattr(value, "kind", None)
        plain = {} if kind is None else {"kind": kind}
        for field in attrs.fields(type(value)):
            content = getattr(value, field.name)
            if has_effect(field) and content != default_of(field):
                plain[field.name] = lean(content)
        return plain
    if isinstance(value, Mapping):
        return {str(key): lean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [lean(item) for item in value]
    return value


def has_effect(field: "attrs.Attribute[Any]") -> bool:
    """Return whether a setting changes what is trained."""
    return bool(field.metadata.get("has_effect", True))


def default_of(field: "attrs.Attribute[Any]") -> Any:
    """Return what a field without a value means, `attrs.NOTHING` when it must have one."""
    if AS_BEFORE in field.metadata:
        return field.metadata[AS_BEFORE]
    default: Any = field.default
    value = default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
    convert: Any = field.converter
    return value if value is attrs.NOTHING or convert is None else convert(value)


def filled(plain: Any, kind: Any) -> Any:
    """Return the plain data of a settings class with the defaults of what they do not name.

    Args:
        plain: As read from a file that an older taglm may have written.
        kind: The class, or the type of a field of one.
    """
    if isinstance(plain, Mapping):
        options = [option for option in (kind, *get_args(kind)) if attrs.has(option)]
        if not options:
            return plain
        fields = {field.name: field for field in attrs.fields(options[0])}
        defaults = {name: default_of(field) for name, field in fields.items()}
        missing = {
            name: json.loads(json.dumps(default, default=attrs.asdict))
            for name, default in defaults.items()
            if name not in plain and default is not attrs.NOTHING
        }
        own = {k: filled(v, fields[k].type) if k in fields else v for k, v in plain.items()}
        return {**own, **missing}
    if isinstance(plain, list) and get_origin(kind) is tuple:
        return [filled(item, get_args(kind)[0]) for item in plain]
    return plain
