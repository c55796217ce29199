"""How the results of a run are scored."""

from pydantic import BaseModel, ConfigDict, Field

from mtvit_core.evaluation.coco_engines import ENGINE, Engine


class EvaluationConfig(BaseModel):
    """The config table ``[evaluation]``.

    Attributes:
        engine: What computes COCO's average precision: ``hotcoco``, or the slower ``pycocotools``, the
            field's reference; their numbers are the same.
        max_dets: Results of an image and a category that count; 0: as many as in COCO's own tables (100 boxes
            or masks, 20 poses), of boxes and masks as many as the task returns (``top_k``) where it is more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine = ENGINE
    max_dets: int = Field(0, ge=0)
