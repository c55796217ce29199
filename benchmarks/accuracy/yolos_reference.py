"""YolosForObjectDetection with transformers' own loss, in a form that our trainer takes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import YolosConfig, YolosForObjectDetection

from mtvit_core.heads.mlp import Hidden
from mtvit_core.model.multitask_vit import NO_LESSONS, MultiTaskViT
from mtvit_core.structures.batch import Batch
from mtvit_core.tasks.task import View
from mtvit_det.head import DetPredictions


class TransformersYolos(MultiTaskViT):
    """Size, data and decoding are those of our YOLOS; weights, forward pass and loss are theirs."""

    def __init__(self, like: MultiTaskViT, queries: int) -> None:
        """Draw weights for a model of the same size.

        Args:
            like: Our YOLOS; its own weights are not used.
            queries: Detection tokens.
        """
        super().__init__(like.backbone, like.task_list, like.categories)
        spec = like.backbone.spec
        config = YolosConfig(
            hidden_size=spec.width,
            num_hidden_layers=spec.depth,
            num_attention_heads=spec.heads,
            intermediate_size=4 * spec.width,
            image_size=list(spec.canvas),
            patch_size=spec.patch[0],
            layer_norm_eps=1e-6,
            num_detection_tokens=queries,
            use_mid_position_embeddings=False,
            num_labels=len(like.categories),
        )
        net = YolosForObjectDetection(config)
        # Theirs are zero, so that all tokens would be alike; the authors' code draws them so.
        for tokens in (net.vit.embeddings.detection_tokens, net.vit.embeddings.position_embeddings):
            nn.init.trunc_normal_(tokens, std=0.02)
        for layer in net.vit.encoder.modules():
            if isinstance(layer, nn.Linear):
                layer.__class__ = Hidden  # by which our optimiser knows the matrices for Muon
        self.net = net

    def forward(self, images: Tensor, view: View | None = None) -> dict[str, Any]:
        """Return logits and boxes of the output, as our YOLOS does; heads compute in fp32, as ours."""
        with self.backbone.autocast():
            tokens = self.net.vit(self.backbone.normalise(images)).last_hidden_state
        tokens = tokens[:, -self.net.config.num_detection_tokens :].float()
        logits, boxes = self.net.class_labels_classifier(tokens), self.net.bbox_predictor(tokens).sigmoid()
        canvas = (int(images.shape[-2]), int(images.shape[-1]))
        return {"det": DetPredictions(logits[None], boxes[None], None, canvas)}

    def losses(
        self, batch: Batch, view: View = "image", lessons: Mapping[str, Any] = NO_LESSONS
    ) -> dict[str, Tensor]:
        """Return transformers' loss of a batch."""
        found = self(batch.images)["det"]
        targets = self.task_list[0].targets(batch.annotations, found.canvas, self.device)
        rows = zip(targets.labels, targets.boxes, targets.counts, strict=True)
        labels = [{"class_labels": classes[:n], "boxes": boxes[:n]} for classes, boxes, n in rows]
        loss, _, _ = self.net.loss_function(
            found.logits[0], labels, self.device, found.boxes[0], self.net.config, None, None
        )
        return {"det/loss": loss}
