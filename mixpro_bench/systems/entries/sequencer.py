"""Sequencer2D, through timm."""

from mixpro_bench.systems.model import Number, System, Variant

SYSTEMS = (
    System(
        name="Sequencer2D",
        kind="LSTMs along rows and columns",
        build=dict(type="mixpro_bench.TimmBackbone"),
        key="name",
        variants=(
            Variant("sequencer2d_s", 27_651_688, 8.4, counted="timm 1.0.31; multiplications from the authors' README"),
        ),
        more=("sequencer2d_m", "sequencer2d_l"),
        test=dict(name="sequencer2d_s", layers=(1, 1, 1, 1), embed_dims=(24, 48, 48, 48), hidden_sizes=(6, 12, 12, 12)),
        importance="cam",
        attention="none; class activation map (exact: the norm stands before pooling)",
        channels=(192, 384, 384, 384),
        strides=(7, 14, 14, 14),
        source="timm",
        licence="Apache-2.0",
        published=(
            Number("Sequencer2D-S", "top1", 82.3, "ImageNet-1k, 224 px", "okojoalg/sequencer README"),
            Number("Sequencer2D-M", "top1", 82.8, "ImageNet-1k, 224 px", "okojoalg/sequencer README"),
            Number("Sequencer2D-L", "top1", 83.4, "ImageNet-1k, 224 px", "okojoalg/sequencer README"),
        ),
        graph_break="Dynamo does not trace LSTMs by default (torch._dynamo.config.allow_rnn)",
    ),
)
