"""Fits knowledge tokens (``mtvit_core.heads.knowledge_tokens``) to a teacher, and gives them to a student."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.files import whole_file
from mtvit_core.heads.knowledge_tokens import KnowledgeTokens
from mtvit_core.model.build import make_tasks
from mtvit_core.model.checkpoint import load
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.data import read_data
from mtvit_train.build.splits import make_split
from mtvit_train.build.tasks import task_names
from mtvit_train.config.run import RunConfig
from mtvit_train.data.loading.loader import load as load_batches
from mtvit_train.data.loading.sampler import EpochSampler
from mtvit_train.optim.precision import compute_type
from mtvit_train.optim.schedule import rate


def knowledge_tokens(model: MultiTaskViT) -> Iterator[tuple[str, KnowledgeTokens]]:
    """Yield the knowledge tokens of a model by the name of their group."""
    for task in model.task_list:
        for group in model.modules_of(task.name).groups:
            if isinstance(group.source, KnowledgeTokens):
                yield group.name, group.source


def with_knowledge(path: str, config: RunConfig) -> MultiTaskViT:
    """Return a teacher, frozen and in evaluation mode, with the knowledge tokens that the settings ask for.

    Raises:
        CheckpointError: the teacher cannot be loaded, or lacks a task.
        ConfigError: the settings ask for no knowledge token.
    """
    names = task_names(config)
    teacher = load(path, names)
    held = {task.name: task.config.model_dump(mode="json") for task in teacher.task_list}
    settings = {name: {**held[name], **config.tasks.get(name, {})} for name in names}
    made, person = make_tasks(settings, teacher.categories), teacher.canvases["person"]
    model = MultiTaskViT(teacher.backbone, made, teacher.categories, person, teacher.framing, teacher.queries)
    if not dict(knowledge_tokens(model)):
        raise ConfigError(
            f"knowledge token: no task of {', '.join(names)} asks for one; --set tasks.pose.knowledge=true."
        )
    model.load_state_dict(teacher.state_dict(), strict=False)
    return model.eval().requires_grad_(requires_grad=False)


def fit_tokens(
    path: str, config: RunConfig, out: Path, tell: Callable[[int, float], None] = lambda step, loss: None
) -> list[float]:
    """Fit knowledge tokens to a teacher with its own loss, and keep them in a file.

    Args:
        path: The teacher's file.
        config: Data, tasks, and of ``[train]`` steps, batch size, rate, warm-up and seed.
        out: File to write.
        tell: Told the loss of every step.

    Returns:
        The losses.

    Raises:
        CheckpointError: see ``with_knowledge``.
        ConfigError: see ``with_knowledge``.
        DataError: the data cannot be read.
    """
    model = with_knowledge(path, config)
    data = read_data(config, Path(str(config.data)), model.categories)
    split = make_split(config, model, data.train, training=True)
    tokens, train = dict(knowledge_tokens(model)), config.train
    torch.manual_seed(train.seed)
    for source in tokens.values():
        torch.nn.init.trunc_normal_(source.weight, std=0.02).requires_grad_()
    optimizer = torch.optim.AdamW([s.weight for s in tokens.values()], lr=train.lr, weight_decay=0.0)
    model.backbone.precision = compute_type(train.precision, model.device)
    streams = {
        view: load_batches(data_set, EpochSampler(len(data_set), train.batch_size, train.seed), train.workers)
        for view, data_set in split.views.items()
    }
    losses = []
    try:
        for step in range(train.steps):
            for group in optimizer.param_groups:
                group["lr"] = train.lr * rate(step, train.steps, train.warmup, train.final_lr)
            terms = [v for view, stream in streams.items() for v in model.losses(next(stream), view).values()]
            loss = torch.stack(terms).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            losses.append(loss.item())
            tell(step + 1, losses[-1])
    finally:
        for stream in streams.values():
            stream.close()
    with whole_file(out) as partial:
        save_file({name: source.weight.detach().cpu() for name, source in tokens.items()}, partial)
    return losses


def give_tokens(path: str, model: MultiTaskViT) -> None:
    """Fill in the knowledge tokens of a student; without a file those that it has stay.

    Raises:
        CheckpointError: the file is missing or torn, or its tokens are not those of the student.
        ConfigError: there is a file and the student asks for none, or the other way round.
    """
    wanted = dict(knowledge_tokens(model))
    if not path:
        for name in [name for name, source in wanted.items() if not source.weight.any()][:1]:
            raise ConfigError(
                f"config: the knowledge token {name!r} is asked for, but distill.token is empty; name a "
                "file, as mtvit-train knowledge-token writes it."
            )
        return
    where = f"distill.token {path}"
    if not wanted:
        raise ConfigError(f"{where}: no task asks for a knowledge token; --set tasks.pose.knowledge=true.")
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as cause:
        raise CheckpointError(f"{where}: not a readable safetensors file ({cause}).") from None
    for name, source in wanted.items():
        shape = tuple(found[name].shape) if name in found else None
        if shape != tuple(source.weight.shape):
            raise CheckpointError(
                f"{where}: its token {name!r} has shape {shape}, the student's {tuple(source.weight.shape)}; "
                "fit one to a teacher of the same width, with mtvit-train knowledge-token."
            )
        source.weight.copy_(found[name])
