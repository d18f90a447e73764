"""The classifier that is pretrained: a backbone, a mixing policy, nothing else."""

from __future__ import annotations

from mmengine.model import BaseModel
from torch import Tensor

from mixpro_bench.errors import UserError
from mixpro_bench.mixing.policy import MixPolicy, Place
from mixpro_bench.presets import policy_of
from mixpro_bench.pretrain.objectives.supervised import supervised_losses
from mixpro_bench.registry import MODELS


def build_policy(config: dict) -> MixPolicy:
    """Build a policy from a config that names a preset or spells its branches out.

    Args:
        config: ``dict(preset='mixpro', mask_patch=32)`` or ``dict(branches=[...])``, in both cases with ``coin`` and
            ``mix_group`` if wanted.

    Raises:
        UserError: If neither or both are given, or an argument is unknown or out of range.
    """
    config = dict(config)
    if ("preset" in config) == ("branches" in config):
        raise UserError("model.policy takes either a preset, such as dict(preset='mixpro'), or branches")
    own = {key: config.pop(key) for key in ("coin", "mix_group") if key in config}
    if "preset" in config:
        config = policy_of(config.pop("preset"), **config)
    unknown = set(config) - {"branches", "coin", "mix_group"}
    if unknown:
        raise UserError(f"model.policy.{sorted(unknown)[0]} is unknown beside branches; it takes coin and mix_group")
    return MixPolicy(**{**config, **own})


@MODELS.register_module()
class MixClassifier(BaseModel):
    """Classifies images, and mixes them while it is trained.

    Mixing happens in the loss path only, so validation and prediction cannot mix by accident. ``MixProHook`` sets
    ``place`` before each step and ``mixing`` as the schedule says.

    Args:
        backbone: Config of a `Backbone` with a classifier.
        policy: Config of the mixing policy; see `build_policy`.
        data_preprocessor: mmengine's; moves a batch to the device.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        backbone: dict,
        policy: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.num_classes = self.backbone.num_classes
        if self.num_classes < 1:
            raise UserError("model.backbone has no classifier: set model.backbone.num_classes")
        self.policy = build_policy(policy)
        self.policy.setup(self.backbone, self.num_classes, getattr(self.backbone, "image_size", None))
        self.plain = build_policy(dict(preset="none", smoothing=self._smoothing()))
        self.mixing = True
        self.place: Place | None = None

    def _smoothing(self) -> float:
        return next((b.labeler.smoothing for b in self.policy.branches if hasattr(b.labeler, "smoothing")), 0.0)

    def forward(self, inputs: Tensor, label: Tensor | None = None, mode: str = "tensor", **aux):
        """Run the model as mmengine calls it.

        Args:
            inputs: Normalised images, shape (B, 3, H, W).
            label: Class indices, shape (B,).
            mode: ``"tensor"`` for logits, ``"loss"`` for the losses of a training step, ``"predict"`` for one dict of
                scores and label per image.
            **aux: Further per-sample tensors of the batch, for mixers and labelers.
        """
        if mode == "loss":
            return self.loss(inputs, label, aux)
        logits = self.backbone(inputs).logits
        if mode == "tensor":
            return logits
        if mode == "predict":
            scores = logits.float()
            labels = [None] * len(scores) if label is None else label
            return [dict(scores=s, label=y) for s, y in zip(scores, labels, strict=True)]
        raise ValueError(f"mode={mode!r} is none of 'tensor', 'loss', 'predict'")

    def loss(self, images: Tensor, labels: Tensor, aux: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return losses, and statistics under ``mix/``, of one step.

        Raises:
            UserError: If no hook has said where the run is.
        """
        if self.place is None:
            raise UserError("MixClassifier needs custom_hooks=[dict(type='mixpro_bench.MixProHook')] to know its step")
        policy = self.policy if self.mixing else self.plain
        branch = policy.choose(self.place)
        losses, stats = supervised_losses(self.backbone, policy, branch, self.place, images, labels, aux)
        if policy is self.plain and (rest := list(self.policy.parameters())):
            losses["loss_unused"] = sum(p.sum() for p in rest) * 0.0
        return {**losses, **{f"mix/{name}": value.detach() for name, value in stats.items()}}
