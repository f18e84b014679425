"""Renders the configuration files of every program from the files in infrastructure/ and the settings."""
