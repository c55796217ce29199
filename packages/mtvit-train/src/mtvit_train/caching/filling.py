"""Computing the tokens of a cache: each process some of the files that are missing."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress

import torch
from safetensors import SafetensorError
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.caching.token_files import PASS, TokenFiles
from mtvit_train.data.loading.loader import Loading, load
from mtvit_train.data.packed import Key
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.distributed.stop_signals import StopAsked, StopRequest
from mtvit_train.state.atomic_folder import DiskError

#: Seconds between two lines that say how far it is.
PATIENCE = 30.0


def fill(
    files: TokenFiles,
    model: MultiTaskViT,
    workers: int,
    ranks: Ranks,
    stop: StopRequest,
    tell: Callable[[str], None],
) -> None:
    """Compute what is absent, torn or of another key; the processes of the run share the work.

    Args:
        files: The cache.
        model: Whose backbone is run, on its device and in its precision.
        workers: Loader processes.
        ranks: The processes.
        stop: Asked after each file.
        tell: Given lines for the terminal.

    Raises:
        StopAsked: in all processes, if one of them was asked to stop; what was written is kept.
        ConfigError: tokens are too large for the type of the cache.
        DataError: an image cannot be read.
        DiskError: the disk is full, or refuses.
    """
    found = [file for file in range(ranks.rank, files.files, ranks.world) if not files.whole(file)]
    missing = sorted(file for part in ranks.exchange(found) for file in part)
    own, started = missing[ranks.rank :: ranks.world], time.perf_counter()
    views = sum(len(files.samples(file)) for file in missing)
    if not missing:
        tell("cache: all of it is there.")
        return

    def work() -> None:
        with suppress(StopAsked):
            _write(files, own, model, workers, stop.check_here, _Progress(tell, views / ranks.world))

    ranks.together(work)
    stop.check()
    spent = time.perf_counter() - started
    tell(f"cache: {views} views computed in {spent:.0f} s, {views / spent:.1f} a second.")


def _write(
    files: TokenFiles,
    own: Sequence[int],
    model: MultiTaskViT,
    workers: int,
    check: Callable[[], None],
    advance: Callable[[int], None],
) -> None:
    with model.answering(), closing(load(files.plan.samples, _passes(files, own), workers)) as stream:
        for file in own:
            parts = []
            for _ in range(0, len(files.samples(file)), PASS):
                parts.append(_tokens(files, model, stream))
                advance(PASS)
            try:
                files.write(file, {depth: torch.cat([p[depth] for p in parts]) for depth in parts[0]})
            except (OSError, SafetensorError) as cause:
                raise DiskError(
                    f"cache {files.folder}: cannot be written to ({cause}); free some space, or name another "
                    "folder with cache.folder."
                ) from None
            check()


def _passes(files: TokenFiles, own: Sequence[int]) -> Iterator[list[Key]]:
    """Yield the keys of each pass: view and index."""
    for file in own:
        numbers = files.samples(file)
        for start in range(numbers.start, numbers.stop, PASS):
            part = range(start, min(start + PASS, numbers.stop))
            yield [(number % files.plan.views, number // files.plan.views) for number in part]


def _tokens(files: TokenFiles, model: MultiTaskViT, stream: Loading) -> dict[int, Tensor]:
    found = model.backbone.context(next(stream).images.to(model.device), files.plan.depths)
    kept = {depth: tokens.to(files.plan.dtype).cpu() for depth, tokens in found.items()}
    for depth, tokens in kept.items():
        if not torch.isfinite(tokens).all():
            raise ConfigError(
                f"cache: tokens at the input of block {depth} reach {found[depth].abs().max():.3g}, which "
                "cache.dtype='fp16' does not hold; take bf16."
                if torch.isfinite(found[depth]).all()
                else f"cache: tokens at the input of block {depth} are not finite; check the weights of the "
                "backbone, model.pretrained."
            )
    return kept


class _Progress:
    """Says now and then how far the work of this process is."""

    def __init__(self, tell: Callable[[str], None], views: float) -> None:
        self.tell, self.views, self.done, self.told = tell, views, 0, time.perf_counter()

    def __call__(self, count: int) -> None:
        self.done += count
        if time.perf_counter() - self.told > PATIENCE:
            self.told = time.perf_counter()
            self.tell(f"cache: {min(1.0, self.done / self.views):.0%}")
