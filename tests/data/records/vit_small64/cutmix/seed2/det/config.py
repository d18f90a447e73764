bench = dict(task='det', method='cutmix', backbone='vit_small64', protocol='digits-det')
model = dict(mixing=dict(type='cutmix', prob=0.9))
randomness = dict(deterministic=False, seed=2)
train_cfg = dict(max_epochs=30)
