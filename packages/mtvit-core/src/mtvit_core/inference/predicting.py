"""The methods by which models and exported models predict."""

from collections.abc import Iterator

from mtvit_core.inference.options import PredictOptions
from mtvit_core.inference.people import PERSON_SCORE
from mtvit_core.inference.predict import predict, predict_stream
from mtvit_core.inference.predictor import Predictor
from mtvit_core.results.image_result import ImageResult
from mtvit_core.results.linking import MIN_LINK
from mtvit_core.structures.image_inputs import Boxes, Images


class Predicting:
    """Gives a ``Predictor`` the methods ``predict`` and ``predict_stream``."""

    def predict(
        self: Predictor,
        images: Images,
        boxes: Boxes | None = None,
        min_score: float = 0.0,
        batch_size: int = 8,
        person_score: float = PERSON_SCORE,
        link: bool = True,
        min_link: float = MIN_LINK,
        bgr: bool = False,
    ) -> list[ImageResult]:
        """Say what is found in images of any kind and size.

        See ``mtvit_core.inference.predict.predict``, and ``mtvit_core.PredictOptions`` for the numbers.
        """
        options = PredictOptions(
            min_score=min_score,
            batch_size=batch_size,
            person_score=person_score,
            link=link,
            min_link=min_link,
            bgr=bgr,
        )
        return predict(self, images, boxes, options)

    def predict_stream(
        self: Predictor,
        images: Images,
        boxes: Boxes | None = None,
        options: PredictOptions | None = None,
    ) -> Iterator[ImageResult]:
        """Yield the results of any number of images, holding those of one pass at a time."""
        return predict_stream(self, images, boxes, options)
