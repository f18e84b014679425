"""One module a command: it reads options, calls the packages beside this one, and prints."""
