bench = dict(task='pretrain', method='none', backbone='vit_small64', protocol='digits-cls')
model = dict(mixing=dict(type='none', prob=0.0))
randomness = dict(deterministic=False, seed=1)
train_cfg = dict(max_epochs=30)
