bench = dict(task='seg', method='mixpro', backbone='vit_digits', protocol='digits-seg')
model = dict(mixing=dict(type='mixpro', prob=1.6))
randomness = dict(deterministic=False, seed=1)
train_cfg = dict(max_epochs=30)
