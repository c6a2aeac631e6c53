"""What requests and answers look like: a model for each predictor, from its fields and columns."""

from typing import Any, Literal

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


class RowFault(BaseModel):
    """What is wrong in one row of a request."""

    row: int = Field(description="Number of the row, from 1.", examples=[3])
    field: str | None = Field(description="Field of the row.", examples=["smiles"])
    message: str = Field(examples=["Field required"])


class Fault(BaseModel):
    """Why a request was not answered."""

    code: str = Field(description="A word for programs.", examples=["queue_full"])
    message: str = Field(description="A sentence for people.")
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
    similarity: dict[str, float] = Field(
        description="Columns of the similarity of a row to the most similar training row -> "
        "similarity below which it is unlike the training rows.",
        examples=[{"training_similarity": 0.27}],
    )


class ServiceFacts(BaseModel):
    """The predictors of this service, and its limits."""

    backbone: str
    max_rows: int = Field(description="Most rows of a request.")
    max_bytes: int = Field(description="Most bytes of a request.")
    predictors: list[PredictorFacts]


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
        similarity=predictor.similarity_limits,
    )


def request_model(name: str, predictor: "taglm.Predictor", limits: Limits) -> type[BaseModel]:
    """Return the model of a request to a predictor; fields of rows have their own names as alias.

    Names of columns need not be names of Python.
    """
    example = {field: f"{field} of the row" for field in predictor.fields}
    cells: dict[str, Any] = {
        f"field_{k}": (Cell, Field(alias=field, description=f"Value of {field}."))
        for k, field in enumerate(predictor.fields)
    }
    row = create_model(f"{name}Row", __config__=_STRICT, **cells)
    rows: Any = (
        list[row],  # type: ignore[valid-type]
        Field(
            description="Rows to predict.",
            examples=[[example]],
            json_schema_extra={"maxItems": limits.max_rows},
        ),
    )
    fix: Any = (
        bool,
        Field(
            default=False,
            strict=True,
            description="Fix invalid rows by the rules of their domains before predicting.",
        ),
    )
    return create_model(f"{name}Request", __config__=_STRICT, rows=rows, fix=fix)


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
    similarities: dict[str, Any] = {
        f"column_{k}": (float, Field(alias=column, description="From 0 to 1."))
        for k, column in enumerate(predictor.similarity_limits)
    }
    similarity = create_model(f"{name}Similarity", __config__=_STRICT, **similarities)
    row = create_model(
        f"{name}Predicted",
        __config__=_STRICT,
        row=(int, Field(description="Number of the row, from 1.")),
        values=(values | None, Field(description="Predictions; null in an invalid row.")),
        unlike_training=(
            bool | None,
            Field(
                description="Whether the row is unlike the training rows, so that its prediction "
                "is not to be relied on; null in an invalid row, or if the predictor cannot tell."
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
    rows: Any = (list[row], Field(description="One entry a row, in order."))  # type: ignore[valid-type]
    return create_model(
        f"{name}Answer",
        __config__=_STRICT,
        predictor=(str, Field(examples=[name])),
        num_errors=(int, Field(description="Number of invalid rows.")),
        rows=rows,
    )
