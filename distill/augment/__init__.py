"""TinyBERT's data augmentation with any masked language model: `python -m distill.augment` (docs/augment.md)."""
