"""Parameter groups: the same rule of weight decay and layer-wise learning rates in pretraining and transfer."""

from __future__ import annotations

from collections.abc import Iterable

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from mixpro_bench.errors import UserError
from mixpro_bench.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mixpro_bench.transfer.matching import left_behind

# Parts of names of what is no weight of a linear map though it has more than one dimension: positions, tokens, tables.
NO_DECAY_PARTS = (
    "pos_embed",
    "patch_pos",
    "temperature",
    "cls_token",
    "dist_token",
    "reg_token",
    "mask_token",
    "relative_position_bias_table",
    "rel_pos_h",
    "rel_pos_w",
    "logit_scale",
)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ParamGroups(DefaultOptimWrapperConstructor):
    """Build the optimizer wrapper with few, named parameter groups.

    No weight decay for parameters of one dimension (norms, biases, layer scale) and for positions, tokens and bias
    tables. With ``paramwise_cfg=dict(layer_decay=d)`` the last of the backbone's layers learns at ``lr * d``, the one
    before at ``lr * d**2`` and so on down to the stem (BEiT, arXiv:2106.08254); heads and necks learn at ``lr``.

    Args:
        optim_wrapper_cfg: mmengine's.
        paramwise_cfg: ``layer_decay`` is the only key.

    Raises:
        UserError: If ``paramwise_cfg`` has another key or ``layer_decay`` is not in (0, 1].
    """

    def _validate_cfg(self) -> None:
        unknown = sorted(set(self.paramwise_cfg) - {"layer_decay"})
        if unknown:
            raise UserError(
                f"optim_wrapper.paramwise_cfg has the unknown key {unknown[0]!r}; ParamGroups knows layer_decay alone"
            )
        self.layer_decay = self.paramwise_cfg.get("layer_decay") or 1.0
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"optim_wrapper.paramwise_cfg.layer_decay={self.layer_decay} is not in (0, 1]")

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the optimizer wrapper for a model, wrapped or not."""
        model = model.module if is_model_wrapper(model) else model
        wrapper = {"type": "OptimWrapper", **self.optim_wrapper_cfg}
        groups = param_groups(model, self.base_lr, self.base_wd, self.layer_decay)
        optimizer = OPTIMIZERS.build({**self.optimizer_cfg, "params": groups})
        return OPTIM_WRAPPERS.build(wrapper, default_args=dict(optimizer=optimizer))


def decays(name: str, parameter: nn.Parameter, exempt: Iterable[str] = ()) -> bool:
    """Tell whether weight decay applies to a parameter.

    Args:
        name: Its full name.
        parameter: The parameter.
        exempt: Full names without decay beside the rule.
    """
    parts = name.split(".")
    # A table, a token or a scale has a name of its own; a weight is called one, an LSTM's weight_ih_l0 included.
    if parameter.ndim <= 1 or "weight" not in parts[-1] or name in exempt:
        return False
    return not any(part in NO_DECAY_PARTS for part in parts)


def param_groups(
    model: nn.Module, lr: float | None = None, weight_decay: float | None = None, layer_decay: float = 1.0
) -> list[dict]:
    """Sort a model's trainable parameters into groups of equal decay and learning rate.

    Args:
        model: The model; its ``backbone``, if it has one, tells depths (``layer_id``) and exemptions.
        lr: Base learning rate; None leaves it to the optimizer.
        weight_decay: Base weight decay; None leaves it to the optimizer.
        layer_decay: Factor per layer, 1 for none.

    Returns:
        Groups with ``params``, ``name``, ``param_names``, and ``lr`` and ``weight_decay`` where they differ.
    """
    backbone = getattr(model, "backbone", None)
    told = getattr(getattr(backbone, "model", None), "no_weight_decay", set)
    exempt = {f"backbone.model.{name}" for name in told()}
    distances = _distances(backbone) if layer_decay < 1 else {}
    groups: dict[tuple[int, bool], dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        distance = distances.get(name, 0)
        with_decay = decays(name, parameter, exempt)
        group = groups.get((distance, with_decay))
        if group is None:
            title = f"{'decay' if with_decay else 'no_decay'}_{distance}" if layer_decay < 1 else None
            group = {"name": title or ("decay" if with_decay else "no_decay"), "params": [], "param_names": []}
            if not with_decay:
                group["weight_decay"] = 0.0
            elif weight_decay is not None:
                group["weight_decay"] = weight_decay
            if lr is not None:
                group["lr"] = lr * layer_decay**distance
            groups[distance, with_decay] = group
        group["params"].append(parameter)
        group["param_names"].append(name)
    return list(groups.values())


def _distances(backbone: nn.Module) -> dict[str, int]:
    """Return how many layers lie between a parameter of the backbone and the heads; a classifier is a head."""
    ids = {name: backbone.layer_id(name) for name, _ in backbone.named_parameters()}
    top = 1 + max(depth for name, depth in ids.items() if not left_behind(name))
    return {f"backbone.{name}": max(top - depth, 0) for name, depth in ids.items()}
