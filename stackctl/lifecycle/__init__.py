"""Starting, stopping and reloading the stack: what is checked before, and the steps in their order."""
