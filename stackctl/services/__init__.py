"""The parts of the stack as data: services, notification channels and the applications of bot-core."""
