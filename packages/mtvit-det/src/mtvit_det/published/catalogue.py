"""Published detection models."""

from mtvit_core.published.format import KnownModel


def _yolos(name: str, source: str, parameters: float, accuracy: str) -> KnownModel:
    return KnownModel(
        name=name,
        source=f"hustvl/{source}",
        task="det",
        parameters=parameters,
        accuracy=f"{accuracy} box AP, COCO val2017",
        reference="https://github.com/hustvl/YOLOS",
        licence="Apache-2.0 (official files: MIT)",
    )


YOLOS_MODELS = (
    _yolos("YOLOS-Ti", "yolos-tiny", 6.5, "28.7"),
    _yolos("YOLOS-S (200 epochs)", "yolos-small", 30.7, "36.1"),
    _yolos("YOLOS-S (300 epochs)", "yolos-small-300", 30.7, "36.1"),
    _yolos("YOLOS-S dWr", "yolos-small-dwr", 27.6, "37.6"),
    _yolos("YOLOS-B", "yolos-base", 127.8, "42.0"),
)
