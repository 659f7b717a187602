"""Records in, augmented batches out."""
