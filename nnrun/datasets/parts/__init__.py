"""Training, validation and test part: how they are cut and scaled."""
