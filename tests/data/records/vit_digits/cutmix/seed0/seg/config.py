bench = dict(task='seg', method='cutmix', backbone='vit_digits', protocol='digits-seg')
model = dict(mixing=dict(type='cutmix', prob=0.9))
randomness = dict(deterministic=False, seed=0)
train_cfg = dict(max_epochs=30)
