"""What the end-to-end tests start and talk to. README beside the tests tells how to use it."""
