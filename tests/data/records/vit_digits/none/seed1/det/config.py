bench = dict(task='det', method='none', backbone='vit_digits', protocol='digits-det')
model = dict(mixing=dict(type='none', prob=0.0))
randomness = dict(deterministic=False, seed=1)
train_cfg = dict(max_epochs=30)
