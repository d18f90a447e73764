"""MixMIM's pretraining; a leaf config names the encoder. There are no labels, and nothing is classified."""

model = dict(type="mixpro_bench.MixMIMPretrainer", ratio=0.5, data_preprocessor=dict(type="BaseDataPreprocessor"))
custom_hooks = [dict(type="mixpro_bench.PlaceHook")]
