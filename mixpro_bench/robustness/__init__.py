"""Beyond accuracy: what else the pretrained weights are good for, measured part by part on one checkpoint."""
