"""The training data of a run, with the tokens of frozen blocks in the place of pixels."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from filelock import FileLock

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.tasks.task import View
from mtvit_train.build.splits import AnyDataset, DataSplit
from mtvit_train.caching.filling import fill
from mtvit_train.caching.plan import CachePlan
from mtvit_train.caching.room import CacheRoom
from mtvit_train.caching.token_files import TokenFiles
from mtvit_train.config.run import RunConfig
from mtvit_train.data.samples.cached import CachedSamples
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.distributed.stop_signals import StopRequest
from mtvit_train.optim.precision import compute_type


@dataclass(frozen=True)
class CachedSplit:
    """Training data as a trainer takes them.

    Attributes:
        split: The data.
        held: What keeps others from removing the cache, as long as it lives.
    """

    split: DataSplit
    held: tuple[FileLock, ...] = ()


def cached_split(
    config: RunConfig,
    model: MultiTaskViT,
    split: DataSplit,
    ranks: Ranks,
    stop: StopRequest,
    tell: Callable[[str], None],
) -> CachedSplit:
    """Compute what frozen blocks say of the training images, as far as it is not there yet.

    Args:
        config: Settings; without ``cache.views`` the data stay as they are.
        model: On any device; it is put on that of the run.
        split: Training data.
        ranks: The processes of the run; all have to ask.
        stop: Asked between two files.
        tell: Given lines for the terminal.

    Raises:
        ConfigError: nothing is frozen, or there is no room.
        DiskError: the folder of the cache cannot be written to.
        StopAsked: the run was asked to stop.
    """
    if not config.cache.views:
        return CachedSplit(split)
    device = ranks.device(config.train.device)
    model.to(device).backbone.precision = compute_type(config.train.precision, device)
    plans = ranks.together(
        lambda: {view: CachePlan.of(config, model, view, data) for view, data in split.views.items()}
    )
    room = CacheRoom.of(config.cache.folder, config.cache.max_gb)
    held: list[FileLock] = []
    sizes = {plan.key: plan.count * plan.bytes_each for plan in plans.values()}
    ranks.lead(lambda: held.extend(room.take(sizes, " and ".join(map(str, plans.values())))))
    views: dict[View, AnyDataset] = {}
    pixels = bool(config.distill.teacher or config.transforms)
    for view, plan in plans.items():
        tell(f"cache {room.folder(plan.key)}: {plan}.")
        files = TokenFiles(room.folder(plan.key), plan)
        fill(files, model, config.train.workers, ranks, stop, tell)
        views[view] = CachedSamples(plan.samples, plan.views, files, pixels=pixels)
    return CachedSplit(replace(split, views=views), tuple(held))
