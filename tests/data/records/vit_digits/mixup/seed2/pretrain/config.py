bench = dict(task='pretrain', method='mixup', backbone='vit_digits', protocol='digits-cls')
model = dict(mixing=dict(type='mixup', prob=0.5))
randomness = dict(deterministic=False, seed=2)
train_cfg = dict(max_epochs=30)
