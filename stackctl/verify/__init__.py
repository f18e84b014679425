"""The plan's verification as a checklist. A check is data and a function; each section has its own module."""
