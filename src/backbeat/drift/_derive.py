"""How derived columns are computed: frozen parameters that a profile keeps and later ones reuse."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

__all__ = [
    "CategoryTerm",
    "Derivation",
    "EmbeddingFeatures",
    "NumericTerm",
    "ReadAs",
    "Residual",
    "TextFeatures",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class ReadAs(_Frozen):
    """A column that is read otherwise than its type says.

    Args:
        column: The column.
        how: `category` counts its values by name; `number` parses strings.
    """

    kind: Literal["read"] = "read"
    column: str
    how: Literal["category", "number"]


class TextFeatures(_Frozen):
    """Language-free features of a text column: its sizes, its classes of characters, its words.

    Args:
        column: The column of strings.
        seed: Seed of the hash that draws one word of every row.
        buckets: Number of categories that the drawn words fall into.
    """

    kind: Literal["text"] = "text"
    column: str
    seed: NonNegativeInt = 0
    buckets: PositiveInt = 64


class EmbeddingFeatures(_Frozen):
    """The length of a vector, and its direction on a few fixed random axes.

    Args:
        column: The column of vectors.
        dimension: Numbers per vector; 0 where no vector was seen.
        seed: Seed of the axes, whose components are +1 or -1 (Achlioptas 2003).
        projections: Number of axes.
    """

    kind: Literal["embedding"] = "embedding"
    column: str
    dimension: NonNegativeInt
    seed: NonNegativeInt = 0
    projections: PositiveInt = 8


class NumericTerm(_Frozen):
    """What a numeric column explains: a curve of straight pieces, level outside its ends.

    Args:
        column: The explaining column.
        at: Its values where the curve bends, ascending.
        value: What is expected there.
    """

    kind: Literal["numeric"] = "numeric"
    column: str
    at: tuple[float, ...]
    value: tuple[float, ...]

    @model_validator(mode="after")
    def _consistent(self) -> NumericTerm:
        if not self.at or len(self.at) != len(self.value):
            raise ValueError("a curve has as many values as places")
        return self


class CategoryTerm(_Frozen):
    """What a categorical column explains: one expected value per category.

    Args:
        column: The explaining column.
        value: What is expected per category.
        otherwise: What is expected for every other category.
    """

    kind: Literal["categorical"] = "categorical"
    column: str
    value: dict[str, float]
    otherwise: float


class Residual(_Frozen):
    """What is left of a column after the columns that explain it: its value less the terms' sum.

    Args:
        column: The explained column.
        terms: Fitted one after the other on the reference, each on what was left till then.
    """

    kind: Literal["given"] = "given"
    column: str
    terms: tuple[Annotated[NumericTerm | CategoryTerm, Field(discriminator="kind")], ...]

    @property
    def name(self) -> str:
        """The derived column's name."""
        return residual_name(self.column, tuple(term.column for term in self.terms))


def residual_name(column: str, given: tuple[str, ...]) -> str:
    """Such as `air_time given distance`."""
    return f"{column} given {', '.join(given)}"


Derivation = Annotated[
    ReadAs | TextFeatures | EmbeddingFeatures | Residual, Field(discriminator="kind")
]
