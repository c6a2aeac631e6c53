"""Settings of the property tests: the same examples every time, and no limit of time a case."""

from hypothesis import settings

settings.register_profile("taglm", derandomize=True, deadline=None, max_examples=200)
settings.load_profile("taglm")
