"""One plain ViT that answers several tasks: images -> features -> predictions -> losses or results."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mtvit_core.backbones.features import Features
from mtvit_core.backbones.interface import Backbone
from mtvit_core.backbones.known_context import NOTHING_KNOWN, KnownContext, known_depths
from mtvit_core.backbones.request import Request
from mtvit_core.errors import ConfigError
from mtvit_core.inference.finite import blaming_weights
from mtvit_core.inference.predicting import Predicting
from mtvit_core.losses.matching import match_all
from mtvit_core.model.assembly import (
    TaskModules,
    check_group_names,
    check_tasks,
    check_weights,
)
from mtvit_core.model.hub.card import About
from mtvit_core.model.hub.push import push
from mtvit_core.model.modes import evaluating
from mtvit_core.model.shared.decoders import Decoders
from mtvit_core.model.sharing.passes import check_together, request_of
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.canvases.crops import CropRule
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import Framing, Letterbox
from mtvit_core.structures.image_inputs import check_canvases
from mtvit_core.tasks.contract import own_terms, reading
from mtvit_core.tasks.instance_group import InstanceGroup, Queries
from mtvit_core.tasks.task import AnyTask, Task, View

NO_LESSONS: Mapping[str, Any] = {}


class MultiTaskViT(Predicting, nn.Module):
    """A backbone and the heads of its tasks.

    Attributes:
        backbone: The shared backbone.
        tasks: Tasks by name; they hold no weights.
        modules_of: Weights by task name; a task's state-dict keys start with ``tasks.<name>.``.
        categories: Classes of the data the model is for.
        canvases: Rows H and columns W of what the model sees, by view.
        framing: How whole images come onto a canvas at prediction; training always takes ``letterbox``.
        instance_group: The queries that several tasks share; None where each has its own.
        decoders: The pixel decoders that dense tasks read, several one and the same.
    """

    def __init__(
        self,
        backbone: Backbone,
        tasks: Sequence[Task[Any, Any, Any]],
        categories: Categories,
        person_canvas: tuple[int, int] = (256, 192),
        framing: Framing | None = None,
        queries: Queries = "task",
    ) -> None:
        """Assemble the model.

        Args:
            backbone: The backbone; its canvas is that of whole images.
            tasks: What it is to answer, with distinct names.
            categories: Classes of the data.
            person_canvas: Rows and columns of person crops, for top-down tasks.
            framing: How whole images come onto a canvas at prediction; by default they are letterboxed onto
                the backbone's.
            queries: ``task``: each task has its own queries. ``instance``: those that can share one group,
                see ``mtvit_core.tasks.instance_group``. A plan: they share a group that was planned before.

        Raises:
            PluginError: two tasks or two token groups have the same name, two parts share a weight, or a task
                breaks the contract.
            ConfigError: the patch does not divide the person canvas, and a task looks at persons; or two
                tasks look at persons on different kinds of crops; or no task can share queries.
        """
        super().__init__()
        check_tasks(tasks, person_canvas, backbone.spec)
        self.backbone = backbone
        self.task_list = tuple(tasks)
        self.categories = categories
        self.canvases: dict[View, tuple[int, int]] = {"image": backbone.spec.canvas, "person": person_canvas}
        self.framing: Framing = framing or self.letterbox
        specs = {view: replace(backbone.spec, canvas=canvas) for view, canvas in self.canvases.items()}
        self.instance_group = InstanceGroup.of(queries, self.of_view("image"), backbone.spec)
        check_together(self.instance_group, backbone, [t.name for t in self.of_view("image")])
        modules = {t.name: TaskModules(t, specs[t.view], self.shares(t.name)) for t in tasks}
        self.tasks = nn.ModuleDict(modules)
        self.decoders = Decoders(self.of_view("image"), backbone.spec)
        shared: dict[str, nn.Module] = {"decoders": self.decoders}
        groups: list[tuple[str, str]] = []
        if self.instance_group is not None:
            shared["instance group"] = self.instance_group
            groups = [("instance group", self.instance_group.group.name)]
        groups += [(t.name, g.name) for t in tasks for g in self.modules_of(t.name).groups]
        check_group_names(groups)
        check_weights({"backbone": backbone, **shared, **modules})

    @property
    def views(self) -> tuple[View, ...]:
        """The views that at least one task asks for."""
        return tuple(view for view in self.canvases if any(task.view == view for task in self.task_list))

    @property
    def crop(self) -> CropRule:
        """How crops of one person lie around their box; all tasks that see persons share them."""
        return next((task.crop for task in self.of_view("person")), "udp")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.mean.device

    @property
    def letterbox(self) -> Letterbox:
        """How whole images come onto the canvas that the model is built for."""
        return Letterbox(*self.canvases["image"])

    @property
    def queries(self) -> Queries:
        """How the tasks got their queries, for another model of the same weights."""
        return "task" if self.instance_group is None else self.instance_group.plan

    def shares(self, task: str) -> bool:
        """Tell whether a task shares its queries with others."""
        return self.instance_group is not None and task in self.instance_group.members

    def modules_of(self, name: str) -> TaskModules:
        """Return the weights of one task."""
        modules = self.tasks[name]
        assert isinstance(modules, TaskModules)
        return modules

    def of_view(self, view: View) -> tuple[Task[Any, Any, Any], ...]:
        """Return the tasks that see this view."""
        return tuple(task for task in self.task_list if task.view == view)

    def features(
        self,
        images: UInt8[Tensor, "B 3 H W"],
        view: View = "image",
        proposals: bool = True,
        known: KnownContext = NOTHING_KNOWN,
    ) -> Features:
        """Run the backbone once with the token groups of every task of this view.

        Raises:
            ConfigError: tasks own layers of the backbone, so that no single pass answers them all.
        """
        found = self._seen(images, view, proposals, known)
        if len(found) > 1:
            names = ", ".join(" + ".join(task.name for task in tasks) for tasks, _ in found)
            raise ConfigError(
                f"features: {len(found)} passes answer the tasks of this model, for {names}, as they own "
                "layers of the backbone; call the model itself, or load one task."
            )
        return found[0][1]

    def _seen(
        self, images: Tensor, view: View, proposals: bool, known: KnownContext
    ) -> list[tuple[list[AnyTask], Features]]:
        """Return what each pass gives, and the tasks that it answers."""
        tasks = {task.name: task for task in self.of_view(view)}
        passes = [[tasks[name] for name in names] for names in self.backbone.passes(list(tasks))]
        requests = [self._request(together, view, proposals) for together in passes]
        shown = images if known else images.to(self.device)
        here = {depth: tokens.to(self.device) for depth, tokens in known.items()}
        features = self.backbone.forward_passes(shown, requests, here)
        return list(zip(passes, features, strict=True))

    def _request(self, tasks: Sequence[AnyTask], view: View, proposals: bool = True) -> Request:
        return request_of(tasks, self.modules_of, self.instance_group, self.decoders, view, proposals)

    def known_depths(self, view: View, frozen: int) -> tuple[int, ...]:
        """Return where the context of a view is to be known if so many of the first blocks are frozen."""
        request = self._request(self.of_view(view), view)
        depth = self.backbone.spec.depth
        return known_depths(request.groups, depth, frozen, request.patches, request.depths)

    def forward(
        self,
        images: Tensor,
        view: View | None = None,
        proposals: bool = True,
        known: KnownContext = NOTHING_KNOWN,
    ) -> dict[str, Any]:
        """Return raw predictions by task name.

        Args:
            images: uint8 B x 3 x H x W, RGB, 0 to 255, on canvases of this view; sides are multiples of the
                patch.
            view: ``image`` or ``person``; by default the one view that the tasks ask for, images first.
            proposals: Whether anybody reads what is proposed at patches that become no query: a loss or a
                lesson does, results do not.
            known: Context at the depths that ``known_depths`` names; the images are then not looked at.

        Raises:
            ShapeError: images are of another type or shape, such as normalised floats.
        """
        check_canvases(images)
        shown = view or (self.views[0] if self.views else "image")
        predictions: dict[str, Any] = {}
        for tasks, features in self._seen(images, shown, proposals, known):
            decoded = self.decoders(features, [t.name for t in tasks]) if shown == "image" else {}
            for task in tasks:
                group = self.instance_group if self.shares(task.name) else None
                seen = features if group is None else group.seen_by(task.name, features)
                seen = self.decoders.seen_by(task.name, seen, decoded)
                with reading(task, seen) as shown_to_head:
                    predictions[task.name] = self.modules_of(task.name).head(shown_to_head)
        return {task.name: predictions[task.name] for task in self.of_view(shown)}

    def answering(self) -> AbstractContextManager[None]:
        """Return a context of evaluation without gradients; every module is back in its mode afterwards."""
        return evaluating(self)

    def answers(self, images: UInt8[Tensor, "B 3 H W"], view: View) -> dict[str, Any]:
        """Return what is to be decoded, by task name.

        Raises:
            DivergedError: it fails, as weights are not finite.
        """
        with blaming_weights(self):
            return self.agreed(lambda shown: self.forward(shown, view, proposals=False), images, view)

    def agreed(
        self, forward: Callable[[Tensor], dict[str, Any]], images: UInt8[Tensor, "B 3 H W"], view: View
    ) -> dict[str, Any]:
        """Return the predictions of images, averaged with those of the mirror image where a task asks.

        Tasks that share queries agree on class and box of each, see ``mtvit_core.tasks.consensus``.

        Args:
            forward: From canvases to raw predictions by task name.
            images: RGB, 0 to 255, on canvases of the view.
            view: What they show.
        """
        predictions = forward(images)
        mirroring = [task for task in self.of_view(view) if task.mirrors]
        if mirroring:
            mirrored = forward(images.flip(-1))
            predictions |= {t.name: t.average(predictions[t.name], mirrored[t.name]) for t in mirroring}
        if self.instance_group is not None and view == "image":
            predictions |= self.instance_group.consensus(self.of_view(view), predictions)
        return predictions

    def push_to_hub(
        self, repo_id: str, about: About | None = None, private: bool = False, token: str | None = None
    ) -> str:
        """Upload the weights and a model card to the hub; ``mtvit_core.load(repo_id)`` reads them back.

        See ``mtvit_core.model.hub.push.push``, and ``mtvit_core.About`` for what the card tells.
        """
        return push(self, repo_id, about, private, token)

    def losses(
        self, batch: Batch, view: View = "image", lessons: Mapping[str, Any] = NO_LESSONS
    ) -> dict[str, Float[Tensor, ""]]:
        """Return every task's weighted loss terms, keyed ``task/term``.

        Args:
            batch: Images and what is annotated on them.
            view: What they are.
            lessons: What a teacher says about the same images, by task; gives terms ``task/distill_...``.

        Raises:
            PluginError: a term has no name of its own, or is no scalar.
        """
        predictions = self(batch.images, view, known=batch.known)
        canvas = (int(batch.images.shape[-2]), int(batch.images.shape[-1]))
        tasks = self.of_view(view)
        targets = {t.name: t.targets(batch.annotations, canvas, self.device) for t in tasks}
        with torch.no_grad():
            costs = {t.name: t.cost(predictions[t.name], targets[t.name]) for t in tasks}
        offers = {n: (cost, targets[n].counts) for n, cost in costs.items() if cost is not None}
        group = self.instance_group
        matches = match_all(offers) if group is None else group.match(offers, targets)
        terms = [
            own_terms(t, t.loss(predictions[t.name], targets[t.name], matches.get(t.name))) for t in tasks
        ]
        terms += [
            own_terms(t, _distilled(t.distill(predictions[t.name], lessons[t.name])))
            for t in tasks
            if t.name in lessons
        ]
        return {name: value for parts in terms for name, value in parts.items()}

    def progress(self, fraction: float) -> None:
        """Tell every task how far training is, from 0 to 1."""
        for task in self.task_list:
            task.progress(self.modules_of(task.name).head, fraction)

    def parameter_owner(self) -> Mapping[str, str]:
        """Name of the task each parameter belongs to, ``backbone``, ``decoders`` or ``instance_group``."""
        return {n: n.split(".")[n.startswith("tasks.")] for n, _ in self.named_parameters()}


def _distilled(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"distill_{name}": value for name, value in terms.items()}
