"""Backbones: the contract, timm's models behind it, and the systems that timm lacks."""

from mixpro_bench.backbones.ca_swin import CASwin
from mixpro_bench.backbones.cam import Cam
from mixpro_bench.backbones.cmt import CMT
from mixpro_bench.backbones.contract import Backbone, Need, Output, Share
from mixpro_bench.backbones.dss_deit import DSSDeiT
from mixpro_bench.backbones.dss_swin import DSSSwin
from mixpro_bench.backbones.fan import FAN
from mixpro_bench.backbones.fcvit import FCViT
from mixpro_bench.backbones.hire_mlp import HireMLP
from mixpro_bench.backbones.hornet import HorNet
from mixpro_bench.backbones.mixmim import MixMIM
from mixpro_bench.backbones.msg import MSGTransformer
from mixpro_bench.backbones.oamixer_conv import OAMixerConv
from mixpro_bench.backbones.oamixer_deit import OAMixerDeiT
from mixpro_bench.backbones.oamixer_mlp import OAMixerMLP
from mixpro_bench.backbones.pos_mlp import PosMLP
from mixpro_bench.backbones.pvt_v1 import PVT
from mixpro_bench.backbones.raft_mlp import RaftMLP
from mixpro_bench.backbones.regionvit import RegionViT
from mixpro_bench.backbones.sret import SReT
from mixpro_bench.backbones.timm import TimmBackbone

__all__ = [
    "CMT",
    "FAN",
    "PVT",
    "Backbone",
    "CASwin",
    "Cam",
    "DSSDeiT",
    "DSSSwin",
    "FCViT",
    "HireMLP",
    "HorNet",
    "MSGTransformer",
    "MixMIM",
    "Need",
    "OAMixerConv",
    "OAMixerDeiT",
    "OAMixerMLP",
    "Output",
    "PosMLP",
    "RaftMLP",
    "RegionViT",
    "SReT",
    "Share",
    "TimmBackbone",
]
