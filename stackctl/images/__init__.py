"""The image sets: which images they consist of, and how they are resolved, built, locked and moved."""
