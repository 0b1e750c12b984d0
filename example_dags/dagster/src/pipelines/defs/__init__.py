"""One pipeline a file; each is loaded because it lies here."""
