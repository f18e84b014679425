"""Computes the table of incidents and writes it into the guide: `make incidents`."""

from tests.incidents import table

table.write(table.table(table.outcomes()))
