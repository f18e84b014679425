"""Reports of a verification: for the terminal, as JSON, JUnit XML and HTML."""
