"""What a mixing method costs per training step, next to a step without mixing."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from mixpro_bench.benchmark.measure import compare, interleave, machine, peak_bytes
from mixpro_bench.benchmark.mixing import memory_columns
from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import Place
from mixpro_bench.presets import PRESETS, policy_of

BASE = "none"
METHODS = ("none", "cutmix", "maskmix", "mixpro", "transmix", "tl_align", "tokenmix", "smmix")
# A name that stands for several rows.
_ROWS = {"smmix": ("smmix", "smmix-fixed")}
# Tokens per side of the stored maps.
TEACHER_GRID = 14


def rows_of(methods: Sequence[str]) -> list[str]:
    """Return the rows that names of methods stand for, ``none`` first.

    Args:
        methods: Names of presets (with ``-`` or ``_``), or ``maskmix`` for MaskMix with area labels.

    Raises:
        UserError: If a name is unknown.

    Examples:
        >>> rows_of(["tl_align", "smmix"])
        ['none', 'tl-align', 'smmix', 'smmix-fixed']
    """
    rows = [BASE]
    for method in methods:
        for name in _ROWS.get(method, (method.replace("_", "-"),)):
            if name != "maskmix" and name not in PRESETS:
                raise UserError(f"--methods {method} is unknown; there are maskmix, {', '.join(sorted(PRESETS))}")
            if name not in rows:
                rows.append(name)
    return rows


def own_half(name: str, mask_patch: int) -> dict[str, Any]:
    """Return the policy that takes the first branch of a preset, its own, at every step.

    Args:
        name: A row.
        mask_patch: Pixels per cell of MaskMix.
    """
    if name == "maskmix":
        return dict(branches=[dict(mixer=dict(type="MaskMix", mask_patch=mask_patch))])
    takes = inspect.signature(PRESETS[name].build).parameters
    branch = policy_of(name, **({"mask_patch": mask_patch} if "mask_patch" in takes else {}))["branches"][0]
    return dict(branches=[dict(branch, prob=1.0)])


class Trainee:
    """A classifier with its optimizer and one batch on the device, ready to be stepped.

    Args:
        name: A row.
        backbone: Config of the backbone.
        device: Where it trains.
        batch_size: Images, even.
        img_size: Pixels per side.
        amp: Train under bfloat16 autocast.
    """

    def __init__(
        self, name: str, backbone: dict, device: torch.device, batch_size: int, img_size: int, amp: bool
    ) -> None:
        from mmengine.optim import build_optim_wrapper

        from mixpro_bench.pretrain.classifier import MixClassifier

        torch.manual_seed(0)
        patch = _patch_size(backbone)
        self.model = MixClassifier(
            backbone, own_half(name, 2 * patch), data_preprocessor=dict(type="BaseDataPreprocessor")
        )
        self.model.to(device).train()
        self.optimizer = build_optim_wrapper(
            self.model,
            dict(
                type="mixpro_bench.AmpOptimWrapper" if amp else "mixpro_bench.OptimWrapper",
                constructor="mixpro_bench.ParamGroups",
                optimizer=dict(type="AdamW", lr=1e-5, weight_decay=0.05),
                clip_grad=dict(max_norm=5.0),
            ),
        )
        if amp:
            self.optimizer.device_type = device.type
        classes = self.model.num_classes
        self.batch = dict(
            inputs=torch.randn(batch_size, 3, img_size, img_size, device=device),
            label=torch.randint(classes, (batch_size,), device=device),
        )
        if "teacher" in self.model.policy.needs_aux:
            self.batch["teacher_map"] = torch.rand(batch_size, TEACHER_GRID, TEACHER_GRID, device=device)
            self.batch["teacher_crop"] = torch.tensor([0.1, 0.2, 0.6, 0.7], device=device).expand(batch_size, 4)

    def __call__(self, number: int) -> None:
        """Do one training step, with the draws of step ``number``."""
        self.model.place = Place(0, number)
        self.model.train_step(self.batch, self.optimizer)


def benchmark_step(
    methods: Sequence[str],
    backbone: dict,
    device: torch.device,
    batch_size: int = 16,
    img_size: int = 224,
    amp: bool = False,
    rounds: int | None = None,
    warm_up: int = 2,
    show: Callable[[range], Iterable[int]] = iter,
) -> dict[str, Any]:
    """Time the training step of several methods next to one another.

    The step is mmengine's: autocast, mixing, forward, labels, backward, clipping, optimizer. The mixing branch is taken
    every time, and the batch lies on the device. TokenMix is given teacher maps and crops as
    the data bring stored ones.

    Args:
        methods: See `rows_of`.
        backbone: Config of a `Backbone` with a classifier.
        device: Where to train.
        batch_size: Images, even.
        img_size: Pixels per side.
        amp: Train under bfloat16 autocast.
        rounds: Readings per method; by default 20 on the CPU, and 30 of five steps each on a GPU.
        warm_up: Rounds before.
        show: Wraps the range of rounds, to show progress.

    Returns:
        The setting, and ``rows`` with time, ratio to ``none`` (see `compare`), and peak memory with its ratio. Memory
        is measured with each method alone: weights, gradients, optimizer and the step.
    """
    names = rows_of(methods)
    on_gpu = device.type == "cuda"
    rounds = rounds or (30 if on_gpu else 20)
    setting = (backbone, device, batch_size, img_size, amp)
    state = machine(device)
    memory = {}
    for name in names:
        memory[name] = peak_bytes(partial(_train_twice, name, setting), device)
        gc.collect()
    trainees = {name: Trainee(name, *setting) for name in names}
    seconds = interleave(trainees, rounds, device, warm_up, repeat=5 if on_gpu else 1, show=show)
    times = compare(seconds, BASE)
    rows = [{"method": name, **times[name], **memory_columns(memory[name], memory[BASE])} for name in names]
    return {
        "model": backbone.get("name"),
        "batch_size": batch_size,
        "img_size": img_size,
        "amp": "bfloat16" if amp else None,
        "rounds": rounds,
        **state,
        "rows": rows,
    }


def _train_twice(name: str, setting: tuple) -> None:
    trainee = Trainee(name, *setting)
    # The optimizer makes its state in the first step.
    for number in range(2):
        trainee(number)


def _patch_size(backbone: dict) -> int:
    from mixpro_bench.registry import MODELS

    with torch.device("meta"):
        return MODELS.build(backbone).patch_size
