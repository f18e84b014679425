"""What the stack consists of, as data: its services, notification channels and the parts of bot-core."""
