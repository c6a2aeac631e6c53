"""schemathesis sends requests made from the service's own description, valid and invalid ones."""

import contextlib
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

PATHS = (
    "/v1/predictors/Share/predict",
    "/v1/predictors/Sum/predict",
    "/v1/predictors/Sum/stream",
)


@contextlib.asynccontextmanager
async def _outlives_a_client(_):
    """Keep the engine running when the client of a test is closed."""
    yield


@pytest.fixture(scope="module")
def described(predictors):
    """Return the description of a service as schemathesis reads it."""
    import schemathesis

    from taglm_serve.app import Service
    from taglm_serve.limits import Limits

    service = Service(predictors, Limits(max_wait_ms=0, max_rows=20))
    service.api.router.lifespan_context = _outlives_a_client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_asgi("/openapi.json", service.app)
    rejected = schema.config.checks.negative_data_rejection
    rejected.expected_statuses = [*rejected.expected_statuses, "413"]  # more rows than the limit
    yield schema
    service.engine.stop()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", PATHS)
def test_answers_are_as_described(described, path, mode):
    """No fault of the service, and every status, header and body as the description says."""
    operation = next(op.ok() for op in described.get_all_operations() if op.ok().path == path)

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case):
        case.call_and_validate()

    given(case=operation.as_strategy(generation_mode=mode))(check)()
