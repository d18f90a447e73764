bench = dict(task='det', method='mixup', backbone='vit_digits', protocol='digits-det')
model = dict(mixing=dict(type='mixup', prob=0.5))
randomness = dict(deterministic=False, seed=1)
train_cfg = dict(max_epochs=30)
