bench = dict(task='seg', method='none', backbone='vit_small64', protocol='digits-seg')
model = dict(mixing=dict(type='none', prob=0.0))
randomness = dict(deterministic=False, seed=1)
train_cfg = dict(max_epochs=30)
