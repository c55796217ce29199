"""The shapes of what a server answers, for its OpenAPI description."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Told(BaseModel):
    model_config = ConfigDict(extra="allow")  # tasks of plugins may say more


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str = Field(description="One line: what was found, what is allowed.")


class Segmentation(_Told):
    """A mask as COCO's compressed run lengths."""

    size: list[int] = Field(description="Rows and columns.", min_length=2, max_length=2)
    counts: str


class Part(_Told):
    """What one task found of an object."""

    task: str
    score: float
    bbox: list[float]


class FoundObject(_Told):
    """One object, in pixels of the image that was sent."""

    id: int
    task: str = Field(description="Who found it; of several tasks, their names joined by +.")
    category: str
    category_id: int
    score: float
    bbox: list[float] = Field(description="x, y, width, height.", min_length=4, max_length=4)
    segmentation: Segmentation | None = None
    keypoints: list[float] | None = Field(None, description="x, y, score of each keypoint.")
    link: float | None = Field(None, description="Agreement of the tasks that found it.")
    parts: list[Part] | None = None


class Label(_Told):
    """A category of the whole image."""

    category: str
    category_id: int
    score: float


class PixelMapPicture(_Told):
    """A map, and a flat picture of it."""

    kind: Literal["dense", "semantic", "panoptic"]
    png: str | None = Field(None, description="Base64.")
    range: list[float] | None = Field(None, description="Least and largest number, of one channel.")


class Milliseconds(_Told):
    """Where the time went."""

    queue: float
    decode: float
    model: float
    encode: float


class Prediction(_Told):
    """Everything the model says of an image."""

    height: int
    width: int
    objects: list[FoundObject]
    labels: dict[str, list[Label]] | None = None
    maps: dict[str, PixelMapPicture] | None = None
    milliseconds: Milliseconds
    device: str


class Card(_Told):
    """The model that is served."""

    name: str
    python: str = Field(description="The line of Python that loads the same model.")
    version: str
    device: str
    threads: int
    tasks: list[dict[str, str]]
    canvases: dict[str, list[int]]
    categories: list[dict[str, Any]]
    colours: list[str]
    limits: dict[str, float]


class State(BaseModel):
    """Whether the server is there."""

    status: Literal["ok", "stopping"]
