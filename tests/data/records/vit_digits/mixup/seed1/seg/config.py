bench = dict(task='seg', method='mixup', backbone='vit_digits', protocol='digits-seg')
model = dict(mixing=dict(type='mixup', prob=0.5))
randomness = dict(deterministic=False, seed=1)
train_cfg = dict(max_epochs=30)
