"""Sets that ship with scikit-learn or are downloaded."""
