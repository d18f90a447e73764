bench = dict(task='det', method='mixpro', backbone='vit_digits', protocol='digits-det')
model = dict(mixing=dict(type='mixpro', prob=1.6))
randomness = dict(deterministic=False, seed=0)
train_cfg = dict(max_epochs=30)
