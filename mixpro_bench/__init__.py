"""Does pretraining a Vision Transformer with a given mixing method transfer better?"""

__version__ = "0.1.0"
