"""What requests and answers look like: a model for each predictor, from its fields and columns."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    create_model,
)

import taglm
from taglm_serve.limits import Limits

Cell = StrictStr | StrictInt | StrictFloat | None
"""A value of a row; an empty one makes the row invalid, not the request."""

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


_FIX: Any = (
    bool,
    Field(
        default=False,
        strict=True,
        description="Fix invalid rows by the rules of their domains before predicting.",
    ),
)


class RowFault(BaseModel):
    """What is wrong in one row of a request."""

    row: int = Field(description="Number of the row, from 1.", examples=[3])
    field: str | None = Field(description="Field of the row.", examples=["smiles"])
    message: str = Field(examples=["missing"])


class Fault(BaseModel):
    """Why a request was not answered."""

    code: str = Field(description="Error code.", examples=["queue_full"])
    message: str = Field(description="Error message.")
    rows: list[RowFault] = Field(description="Rows whose form is wrong.")


class FaultBody(BaseModel):
    """The body of every answer that is not a success."""

    error: Fault


class PredictorFacts(BaseModel):
    """A predictor of this service."""

    name: str = Field(examples=["QED"])
    task: str = Field(description="Name of its task.", examples=["QED"])
    kind: Literal["regression", "classification", "text"]
    unit: str = Field(description="Unit of its values; empty: none is known.")
    fields: list[str] = Field(description="What a row must hold.", examples=[["smiles"]])
    columns: list[str] = Field(description="What it predicts.", examples=[["QED"]])
    max_interval: float | None = Field(
        description="Highest level of its prediction intervals; null: it has none.",
        examples=[0.99],
    )
    similarity: dict[str, float] = Field(
        description="Columns of the similarity of a row to the most similar training row -> "
        "similarity below which it is unlike the training rows.",
        examples=[{"training_similarity": 0.27}],
    )


class ServiceFacts(BaseModel):
    """The predictors of this service, and its limits."""

    backbone: str
    max_rows: int = Field(description="Maximum number of rows in a request.")
    max_bytes: int = Field(description="Maximum size of a request in bytes.")
    predictors: list[PredictorFacts]


class Interval(BaseModel):
    """A prediction interval."""

    low: float = Field(examples=[0.28])
    high: float = Field(examples=[0.54])


class FieldAttention(BaseModel):
    """What the function tag attends to in a field of a row."""

    field: str = Field(examples=["smiles"])
    symbols: list[str] = Field(description="What the field was read as.", examples=[["C", "O"]])
    weights: list[float] = Field(description="Attention to each symbol.", examples=[[0.1, 0.2]])
    picture: str | None = Field(
        description="SVG of the row, shaded by attention; null where its domain draws none."
    )


class Attention(BaseModel):
    """Where a predictor reads in a row, not why it predicts what it does. Weights sum to 1."""

    predictor: str = Field(examples=["QED"])
    error: str | None = Field(description="Why the row is invalid; there are no fields then.")
    fields: list[FieldAttention]
    text: float | None = Field(description="Attention to the words of the prompt.")
    domain_tags: float | None = Field(description="Attention to the domain tags.")
    function_tag: float | None = Field(description="Attention of the function tag to itself.")


class Health(BaseModel):
    """State of the service."""

    status: Literal["ok", "stopping", "failed"]


def facts_of(name: str, predictor: "taglm.Predictor") -> PredictorFacts:
    """Return what a service says of a predictor."""
    target: Any = predictor.task.target
    return PredictorFacts(
        name=name,
        task=predictor.task.name,
        kind=target.kind,
        unit=getattr(target, "unit", ""),
        fields=predictor.fields,
        columns=predictor.names,
        max_interval=predictor.max_interval,
        similarity=predictor.similarity_limits,
    )


def row_model(name: str, predictor: "taglm.Predictor") -> type[BaseModel]:
    """Return the model of a row; its fields have their own names as alias.

    Names of columns need not be names of Python.
    """
    cells: dict[str, Any] = {
        f"field_{k}": (Cell, Field(alias=field, description=f"Value of {field}."))
        for k, field in enumerate(predictor.fields)
    }
    return create_model(f"{name}Row", __config__=_STRICT, **cells)


def request_model(
    name: str, predictor: "taglm.Predictor", row: type[BaseModel], limits: Limits
) -> type[BaseModel]:
    """Return the model of a request to a predictor for predictions of rows.

    It has a level of intervals only where the predictor has intervals.
    """
    rows: Any = (
        list[row],  # type: ignore[valid-type]
        Field(
            description="Rows to predict.",
            examples=[[_example(row)]],
            max_length=limits.max_rows,  # counted before rows are looked at; answered 413
        ),
    )
    more: dict[str, Any] = {}
    if predictor.max_interval is not None:
        level = Annotated[float, Field(gt=0, le=predictor.max_interval, strict=True)]
        more["interval"] = (
            level | None,
            Field(
                default=None,
                description="Share of new values that a prediction interval is to contain, such "
                "as 0.9; null: answers have no interval.",
            ),
        )
    return create_model(f"{name}Request", __config__=_STRICT, rows=rows, fix=_FIX, **more)


def row_request_model(name: str, row: type[BaseModel]) -> type[BaseModel]:
    """Return the model of a request to a predictor about one row."""
    one: Any = (row, Field(description="The row.", examples=[_example(row)]))
    return create_model(f"{name}RowRequest", __config__=_STRICT, row=one, fix=_FIX)


def _example(row: type[BaseModel]) -> dict[str, str]:
    names = [field.alias for field in row.model_fields.values()]
    return {str(name): f"{name} of the row" for name in names}


def answer_model(name: str, predictor: "taglm.Predictor") -> type[BaseModel]:
    """Return the model of an answer of a predictor."""
    kind = predictor.task.target.kind
    columns: dict[str, Any] = {}
    for k, column in enumerate(predictor.names):
        is_word = kind == "text" or (kind == "classification" and column == predictor.names[0])
        if kind == "classification" and getattr(predictor.task.target, "multi_label", False):
            is_word = False
        columns[f"column_{k}"] = (str if is_word else float | None, Field(alias=column))
    values = create_model(f"{name}Values", __config__=_STRICT, **columns)
    ends: dict[str, Any] = {
        f"column_{k}": (Interval | None, Field(alias=column))
        for k, column in enumerate(predictor.names if predictor.max_interval is not None else ())
    }
    interval = create_model(f"{name}Intervals", __config__=_STRICT, **ends)
    similarities: dict[str, Any] = {
        f"column_{k}": (float, Field(alias=column, description="From 0 to 1."))
        for k, column in enumerate(predictor.similarity_limits)
    }
    similarity = create_model(f"{name}Similarity", __config__=_STRICT, **similarities)
    row = _predicted_model(name, values, interval, similarity)
    rows: Any = (list[row], Field(description="One entry a row, in order."))  # type: ignore[valid-type]
    return create_model(
        f"{name}Answer",
        __config__=_STRICT,
        predictor=(str, Field(examples=[name])),
        num_errors=(int, Field(description="Number of invalid rows.")),
        rows=rows,
    )


def _predicted_model(name: str, values: Any, interval: Any, similarity: Any) -> type[BaseModel]:
    """Return the model of a row of an answer.

    Args:
        name: Of the predictor.
        values: Model of the predictions of a row.
        interval: Model of their intervals.
        similarity: Model of the similarities of a row.
    """
    return create_model(
        f"{name}Predicted",
        __config__=_STRICT,
        row=(int, Field(description="Number of the row, from 1.")),
        values=(values | None, Field(description="Predictions; null in an invalid row.")),
        interval=(
            interval | None,
            Field(
                description="Prediction interval of each value, null where its target has too few "
                "validation rows; null in an invalid row, or if no level was asked for."
            ),
        ),
        unlike_training=(
            bool | None,
            Field(
                description="Whether the row is unlike the training rows, so that its prediction "
                "is not reliable; null in an invalid row, or if the predictor cannot tell."
            ),
        ),
        similarity=(
            similarity | None,
            Field(
                description="Similarity of the row to the most similar training row; null likewise."
            ),
        ),
        error=(str | None, Field(description="Why the row is invalid.")),
        fixed=(str | None, Field(description="What was changed before predicting.")),
    )
