"""Messages as the notification services take them, brought into one shape."""
