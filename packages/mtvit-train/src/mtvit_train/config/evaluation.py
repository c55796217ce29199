"""How the results of a run are scored."""

from pydantic import BaseModel, ConfigDict

from mtvit_core.evaluation.coco_engines import ENGINE, Engine


class EvaluationConfig(BaseModel):
    """The config table ``[evaluation]``.

    Attributes:
        engine: What computes COCO's average precision: ``hotcoco``, or the slower ``pycocotools``, the
            field's reference; their numbers are the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine = ENGINE
