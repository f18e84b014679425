"""Messages of the notification services, parsed into one type."""
