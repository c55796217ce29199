"""ViTPose and ViTPose+ of their authors and of transformers (Xu et al. 2022, 2023), as a plain ViT."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from mtvit_core.errors import CheckpointError
from mtvit_core.published.format import Blueprint, Choice, Choices, KnownModel, PublishedFormat
from mtvit_core.published.pixels import pixel_options
from mtvit_core.published.sizes import image_size
from mtvit_core.published.source import Source
from mtvit_pose.published.catalogue import OFFICIAL_VITPOSE, TRANSFORMERS_VITPOSE
from mtvit_pose.published.datasets import EXPERTS, PoseDataset, dataset_named
from mtvit_pose.published.vitpose_dataset import (
    Trained,
    check_count,
    merged_expert,
    named_keypoints,
    trained_alone,
)
from mtvit_pose.published.vitpose_keys import OFFICIAL, TRANSFORMERS, Names
from mtvit_pose.published.vitpose_settings import (
    BACKBONE_CONFIG,
    CONFIG,
    PROCESSOR,
    check_size,
    check_taps,
)
from mtvit_pose.published.vitpose_weights import (
    AFFINE,
    Anatomy,
    anatomy,
    backbone_recipes,
    head_recipes,
)

#: The backbone is the ViT of MAE, from which ViTPose is trained; sizes are options.
BACKBONE = "vit_base_patch16_224.mae"
PADDING = 2
#: Attention heads by width: S, B, L, H.
HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}


class ViTPoseFormat(PublishedFormat):
    """What the two kinds of files share.

    Attributes:
        names: Their keys.
    """

    takes: ClassVar[frozenset[Choice]] = frozenset({"dataset"})
    names: ClassVar[Names]

    @abstractmethod
    def canvas(self, source: Source, body: Anatomy) -> tuple[int, int]:
        """Return rows and columns of the crops.

        Raises:
            CheckpointError: they cannot be told.
        """

    def heads(self, source: Source, body: Anatomy) -> int:
        """Return the attention heads of a block, which shapes do not tell.

        Raises:
            CheckpointError: no ViTPose of this width is known.
        """
        if body.width not in HEADS:
            raise CheckpointError(
                f"source {source.where}: no ViTPose of width {body.width} is known, so its attention heads "
                f"cannot be told; known: {', '.join(map(str, HEADS))}."
            )
        return HEADS[body.width]

    def blueprint(self, source: Source, choices: Choices) -> Blueprint:
        """Say how to build and fill the model; see the base class."""
        names, body = self.names, anatomy(source, self.names)
        trained, head, expert = self._head(source, choices, body)
        is_classic = f"{head}{names.classic['deconv_layers.0']}.weight" in source.tensors
        has_bias = f"{names.block.format(0)}{names.qkv[0]}.bias" in source.tensors
        canvas = self.canvas(source, body)
        variant = "vitpose" if is_classic else "vitpose-simple"
        return Blueprint(
            backbone=BACKBONE,
            canvas=canvas,
            person_canvas=canvas,
            options={
                "patch_size": list(body.patch),
                "embed_dim": body.width,
                "depth": body.depth,
                "num_heads": self.heads(source, body),
                "mlp_ratio": body.hidden / body.width,
                "qkv_bias": has_bias,
                "class_token": False,
                "global_pool": "",
                "patch_padding": PADDING,
                **pixel_options(source),
            },
            tasks={
                "pose": {"variant": variant, "flip_test": trained.is_mirrored, "codec": trained.codec},
            },
            categories=trained.categories,
            recipes={
                **dict(backbone_recipes(source, names, body, expert, has_bias)),
                **dict(head_recipes(names.classic if is_classic else names.simple, head)),
            },
            ignored=frozenset(self._ignored(source, body, head, expert)),
        )

    @abstractmethod
    def alone(self, source: Source, choices: Choices, keypoints: int) -> Trained:
        """Tell what a head was trained on that is the only one, or the only one that fits the blocks.

        Raises:
            ConfigError: the user names an unknown data set.
            CheckpointError: it cannot be told, or is not what the user says.
        """

    def _head(self, source: Source, choices: Choices, body: Anatomy) -> tuple[Trained, str, int]:
        """Find what to convert: what it was trained on, the prefix of its head, the number of its expert."""
        names, final = self.names, f"{self.names.simple['final_layer']}.weight"
        present = [i for i, prefix in enumerate(names.heads) if prefix + final in source.tensors]
        if not body.experts:
            held = self._merged(source, body) or (EXPERTS[0] if len(present) > 1 else None)
            if held is not None:
                _check_held(source, choices, held)
                choices = replace(choices, dataset=held.name)
            return self.alone(source, choices, source.shape(names.heads[0] + final)[0]), names.heads[0], 0
        asked = choices.dataset
        dataset = EXPERTS[0] if asked is None else dataset_named(asked, source.where)
        index = EXPERTS.index(dataset) if dataset in EXPERTS else -1
        if index not in present:
            held_names = ", ".join(EXPERTS[i].name for i in present) or "none"
            raise CheckpointError(
                f"source {source.where}: it holds no head for {dataset.name}; it holds those for "
                f"{held_names}."
            )
        prefix = names.heads[index]
        keypoints = source.shape(prefix + final)[0]
        if len(names.heads) == 1:
            return self.alone(source, choices, keypoints), prefix, index
        check_count(source, dataset, keypoints)
        return Trained(dataset.categories, dataset.codec), prefix, index

    def _merged(self, source: Source, body: Anatomy) -> PoseDataset | None:
        """The data set of the expert that was merged into the blocks, where the others still tell it."""
        first = self.names.block.format(0)
        experts = {i: f"{first}{self.names.experts}{i}.weight" for i in range(body.strays)}
        return merged_expert(source, f"{first}{self.names.parts['mlp.fc2']}.weight", experts)

    def _ignored(self, source: Source, body: Anatomy, head: str, chosen: int) -> Iterator[str]:
        """Yield the weights of other data sets."""
        other = tuple(prefix for prefix in self.names.heads if prefix != head)
        yield from (key for key in source.tensors if key.startswith(other))
        for i in range(body.depth):
            for expert in range(body.experts or body.strays):
                if body.experts and expert == chosen:
                    continue
                prefix = f"{self.names.block.format(i)}{self.names.experts}{expert}."
                yield from (prefix + part for part in AFFINE)


def _check_held(source: Source, choices: Choices, held: PoseDataset) -> None:
    """Refuse another data set than the one whose expert is merged into the blocks."""
    if choices.dataset is None or dataset_named(choices.dataset, source.where) == held:
        return
    raise CheckpointError(
        f"source {source.where}: it was split for {held.name}, whose expert its blocks hold; for "
        f"{choices.dataset} take the file of all experts, or the one that was split for {choices.dataset}."
    )


class OfficialViTPose(ViTPoseFormat):
    """Files of the authors, ViTPose+ with experts and heads of six data sets included."""

    name = "vitpose (official)"
    models: ClassVar[tuple[KnownModel, ...]] = OFFICIAL_VITPOSE
    names = OFFICIAL

    def fits(self, source: Source) -> bool:
        """Tell by two keys."""
        return source.has("backbone.patch_embed.proj.weight", "keypoint_head.final_layer.weight")

    def canvas(self, source: Source, body: Anatomy) -> tuple[int, int]:
        """Take the one size of aspect 4 to 3 with so many patches; all that were published have it."""
        return portrait(body.patches, body.patch, source.where)

    def alone(self, source: Source, choices: Choices, keypoints: int) -> Trained:
        """By the configuration in the file, or the only data set with so many keypoints."""
        return trained_alone(source, choices, keypoints)


def portrait(patches: int, patch: tuple[int, int], where: str) -> tuple[int, int]:
    """Return rows and columns of a canvas of aspect 4 to 3 with a number of square patches.

    Raises:
        CheckpointError: there is no such canvas.
    """
    third = round((patches / 12) ** 0.5)
    if 12 * third**2 != patches:
        raise CheckpointError(
            f"source {where}: its {patches} positions are no grid of aspect 4 to 3, as 16 x 12; crops of "
            "another shape cannot be told from a file without a config.json."
        )
    return 4 * third * patch[0], 3 * third * patch[1]


class TransformersViTPose(ViTPoseFormat):
    """Folders and hub ids of transformers; they hold the head of COCO alone."""

    name = "vitpose (transformers)"
    models: ClassVar[tuple[KnownModel, ...]] = TRANSFORMERS_VITPOSE
    names = TRANSFORMERS

    def fits(self, source: Source) -> bool:
        """Tell by ``model_type``."""
        return source.kind == "vitpose"

    def heads(self, source: Source, body: Anatomy) -> int:
        """Read them from the settings, and check the others there."""
        settings = source.config.get("backbone_config") or {}
        source.check(CONFIG, PROCESSOR)
        BACKBONE_CONFIG.check(settings, f"source {source.where}: backbone_config in its config.json")
        check_taps(source, settings, body.depth)
        return int(settings.get("num_attention_heads", 12))

    def canvas(self, source: Source, body: Anatomy) -> tuple[int, int]:
        """Read it from the settings."""
        settings = source.config.get("backbone_config") or {}
        size = image_size(source, settings.get("image_size", (256, 192)))
        check_size(source, size)
        return size

    def alone(self, source: Source, choices: Choices, keypoints: int) -> Trained:
        """By the names of its keypoints."""
        return named_keypoints(source, choices, keypoints)
