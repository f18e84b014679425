"""Views for people and programs: of a verification's result, and of a wait while it lasts."""
