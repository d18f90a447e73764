"""The package's registries: children of mmengine's, under the scope ``mixpro_bench``.

A type is written ``mixpro_bench.Name`` in a config. ``locations`` are imported when the first type of a registry is
looked up, so a config needs no ``custom_imports``.
"""

from mmengine.registry import DATA_SAMPLERS as ENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as ENGINE_DATASETS
from mmengine.registry import HOOKS as ENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as ENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as ENGINE_LOOPS
from mmengine.registry import METRICS as ENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as ENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as ENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as ENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as ENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as ENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as ENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNERS as ENGINE_RUNNERS
from mmengine.registry import TRANSFORMS as ENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as ENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as ENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as ENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry

SCOPE = "mixpro_bench"


def _child(name: str, parent: Registry | None, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope=SCOPE, locations=[f"{SCOPE}.{where}" for where in locations])


MODELS = _child("model", ENGINE_MODELS, "backbones", "pretrain", "transfer")
HOOKS = _child("hook", ENGINE_HOOKS, "pretrain", "hooks", "compat.registered")
RUNNERS = _child("runner", ENGINE_RUNNERS, "compat.registered")
LOOPS = _child("loop", ENGINE_LOOPS, "compat.registered")
LOG_PROCESSORS = _child("log processor", ENGINE_LOG_PROCESSORS, "compat.registered")
DATASETS = _child("dataset", ENGINE_DATASETS, "datasets")
DATA_SAMPLERS = _child("data sampler", ENGINE_DATA_SAMPLERS, "datasets")
TRANSFORMS = _child("transform", ENGINE_TRANSFORMS, "datasets")
METRICS = _child("metric", ENGINE_METRICS, "pretrain", "transfer")
MODEL_WRAPPERS = _child("model wrapper", ENGINE_MODEL_WRAPPERS, "compat.registered")
OPTIM_WRAPPERS = _child("optimizer wrapper", ENGINE_OPTIM_WRAPPERS, "compat.registered")
OPTIM_WRAPPER_CONSTRUCTORS = _child("optimizer wrapper constructor", ENGINE_OPTIM_WRAPPER_CONSTRUCTORS, "transfer")
PARAM_SCHEDULERS = _child("parameter scheduler", ENGINE_PARAM_SCHEDULERS, "pretrain")
# Empty, but mmengine warns about a scope that lacks them.
OPTIMIZERS = _child("optimizer", ENGINE_OPTIMIZERS)
VISBACKENDS = _child("vis_backend", ENGINE_VISBACKENDS)
VISUALIZERS = _child("visualizer", ENGINE_VISUALIZERS)
WEIGHT_INITIALIZERS = _child("weight initializer", ENGINE_WEIGHT_INITIALIZERS, "transfer")

# These two have no parent in mmengine: they are what the package is about.
BATCH_AUGMENTS = _child("batch augment", None, "mixing")
LABELERS = _child("labeler", None, "labeling")
