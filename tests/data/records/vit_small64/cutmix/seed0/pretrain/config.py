bench = dict(task='pretrain', method='cutmix', backbone='vit_small64', protocol='digits-cls')
model = dict(mixing=dict(type='cutmix', prob=0.9))
randomness = dict(deterministic=False, seed=0)
train_cfg = dict(max_epochs=30)
