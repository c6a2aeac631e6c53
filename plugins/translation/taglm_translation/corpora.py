"""The built-in corpora of stage 1, one function a language as the registry wants them."""

import functools

from taglm_translation.phrases import corpus


def _of(tag: str, *, seed: int, size: int | None) -> dict[str, list[str]]:
    return corpus(tag, seed, size)


en = functools.partial(_of, "EN")
fr = functools.partial(_of, "FR")
ru = functools.partial(_of, "RU")
de = functools.partial(_of, "DE")
it = functools.partial(_of, "IT")
el = functools.partial(_of, "EL")
es = functools.partial(_of, "ES")
pt = functools.partial(_of, "PT")
