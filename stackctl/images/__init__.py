"""The image sets: their images, and how they are chosen, built, locked and transferred."""
