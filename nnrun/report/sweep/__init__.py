"""What a sweep found, as one self-contained page and as static pictures."""
