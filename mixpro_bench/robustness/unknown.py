"""Telling pictures of no known class from those of the known ones by a classifier's logits.

Sources: maximum softmax, Hendrycks and Gimpel, arXiv:1610.02136; energy at temperature 1, Liu et al.,
arXiv:2010.03759 (equation 4).
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp
from sklearn.metrics import average_precision_score, roc_auc_score

# How sure a classifier is, by the name of the score: more for known pictures.
SCORES = ("softmax", "energy")
KEPT = 0.95


def sureness(logits: np.ndarray, score: str) -> np.ndarray:
    """Return how sure a classifier is of each picture.

    Args:
        logits: Shape (N, K).
        score: ``"softmax"``, the logarithm of the largest probability, or ``"energy"``, the negative energy.
    """
    whole = logsumexp(logits, axis=1)
    return logits.max(axis=1) - whole if score == "softmax" else whole


def detection(known: np.ndarray, unknown: np.ndarray) -> dict[str, float]:
    """Return how well a score tells unknown pictures from known ones, in percent.

    Args:
        known: Score of each known picture, (N,); more for known ones.
        unknown: Score of each unknown picture, (M,).

    Returns:
        ``auroc``; ``aupr`` with the unknown ones as what is looked for; ``fpr95``, the share of the unknown ones that
        pass for known where 95 % of the known ones do.
    """
    scores = -np.concatenate([known, unknown])
    wanted = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    # The highest threshold that so many of the known pictures reach.
    least = np.sort(known)[len(known) - int(np.ceil(KEPT * len(known)))]
    return {
        "auroc": 100 * float(roc_auc_score(wanted, scores)),
        "aupr": 100 * float(average_precision_score(wanted, scores)),
        "fpr95": 100 * float((unknown >= least).mean()),
    }
