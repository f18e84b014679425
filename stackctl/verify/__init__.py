"""The plan's verification as a checklist: a check is data plus one function, one module a section."""
