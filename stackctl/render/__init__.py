"""The configuration files of every program, made from the files under infrastructure/ and the settings."""
