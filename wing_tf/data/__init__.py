"""Reading of records, augmentation, targets and sample weights."""
