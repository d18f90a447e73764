"""OAMixer, on DeiT, MLP-Mixer and ConvMixer."""

from typing import Any

from mixpro_bench.systems.model import System, Variant

COMMON: dict[str, Any] = dict(
    source="alinlab/OAMixer; the bases: timm 1.0.31",
    licence="Apache-2.0",
    unreached={
        "kappa": "it damps the mixing of patches that show different images; only mixed batches reach it",
    },
)
REMARK = (
    "patch labels are which image of a mixed pair a patch shows; published OAMixers take object labels from other "
    "networks. Nothing is damped in plain images and in transfer"
)

SYSTEMS = (
    System(
        name="OAMixer-DeiT",
        kind="DeiT whose attention between unlike patches is damped",
        build=dict(type="mixpro_bench.OAMixerDeiT"),
        variants=(
            Variant("oamixer_deit_tiny", 5_717_428, 1.25, counted="timm 1.0.31's DeiT-T and one strength per block"),
        ),
        more=("oamixer_deit_small", "oamixer_deit_base"),
        test=dict(variant="oamixer_deit_test"),
        importance="cls",
        attention="class token's row in the last block, which the damping leaves as it is",
        channels=(192, 192, 192, 192),
        strides=(16, 16, 16, 16),
        remark=REMARK,
        **COMMON,
    ),
    System(
        name="OAMixer-MLP-Mixer",
        kind="MLP-Mixer whose mixing of unlike patches is damped",
        build=dict(type="mixpro_bench.OAMixerMLP"),
        variants=(
            Variant("oamixer_mixer_s16", 18_528_272, counted="timm 1.0.31's Mixer-S/16 and one strength per block"),
        ),
        more=("oamixer_mixer_b16",),
        test=dict(variant="oamixer_mixer_test"),
        importance="cam",
        attention="none; class activation map (exact: the norm stands before pooling)",
        channels=(512, 512, 512, 512),
        strides=(16, 16, 16, 16),
        remark=f"{REMARK}. At other sizes than its own, what its perceptrons over patches see and add is resized",
        **COMMON,
    ),
    System(
        name="OAMixer-ConvMixer",
        kind="ConvMixer with shared kernels, whose mixing of unlike patches is damped",
        build=dict(type="mixpro_bench.OAMixerConv"),
        variants=(
            Variant(
                "oamixer_convmixer_768_32",
                19_907_624,
                counted="timm 1.0.31's ConvMixer-768/32 with one kernel per block, and one strength per block",
            ),
        ),
        more=("oamixer_convmixer_1024_20",),
        test=dict(variant="oamixer_convmixer_test"),
        importance="cam",
        attention="none; class activation map (exact: nothing stands between the last block and pooling)",
        channels=(768, 768, 768, 768),
        strides=(7, 7, 7, 7),
        remark=f"{REMARK}. Shared kernels make it another network than ConvMixer",
        **COMMON,
    ),
)
