"""The classifier that is pretrained; a leaf config names backbone and policy."""

model = dict(type="mixpro_bench.MixClassifier", data_preprocessor=dict(type="BaseDataPreprocessor"))
custom_hooks = [dict(type="mixpro_bench.MixProHook")]
