"""The settings: where each value comes from, how it is validated, and the files that users edit."""
