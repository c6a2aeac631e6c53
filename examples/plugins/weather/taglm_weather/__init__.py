"""Weather records for taglm; importing this module declares things and imports no library."""

import taglm

__version__ = "0.1.0"

__all__: list[str] = []


@taglm.hookimpl
def register_domains() -> list[taglm.Domain]:
    """Return the domain of records."""
    return [
        taglm.Domain(
            tag="Air",
            field="air",
            columns=("temperature", "humidity", "pressure"),
            description="Air at a place and time: temperature, humidity, pressure.",
            encoder="taglm_weather.encoder:AirEncoder",
            corpus="stations",
            split="state",
            canonical="taglm_weather.records:canonical",
            features="taglm_weather.records:numbers",
        )
    ]


@taglm.hookimpl
def register_tasks() -> list[taglm.Task]:
    """Return a task with a number and one with classes."""
    return [
        taglm.Task(
            name="DewPoint",
            function_tag="DewPoint",
            template="The air is <Air>{air}. Its dew point is <DewPoint>",
            target=taglm.Regression(
                names=("dew_point",), unit="deg C", compute="taglm_weather.labels:dew_point"
            ),
            metrics=("mae", "rmse", "r2"),
            dataset="stations",
            description="Temperature at which the air is saturated.",
        ),
        taglm.Task(
            name="Deposit",
            function_tag="Deposit",
            template="The air is <Air>{air}. When it cools down, it leaves <Deposit>",
            target=taglm.Classification(
                names=("deposit",),
                classes=("dew", "frost"),
                compute="taglm_weather.labels:deposit",
            ),
            metrics=("auroc", "accuracy"),
            dataset="stations",
            description="Dew or frost.",
        ),
    ]


@taglm.hookimpl
def register_datasets() -> list[taglm.Dataset]:
    """Return the generated records."""
    return [
        taglm.Dataset(
            name="stations",
            load="taglm_weather.generated:stations",
            columns=("temperature", "humidity", "pressure"),
            description="Random states of the air on the scales of the domain; not measured.",
            license="Apache-2.0",
            generated=True,
        )
    ]


@taglm.hookimpl
def register_splitters() -> list[taglm.Splitter]:
    """Return the split that keeps equal states together."""
    return [
        taglm.Splitter(
            name="state",
            field="air",
            groups="taglm_weather.records:states",
            description="Records of equal temperature and humidity stay in one split.",
        )
    ]
