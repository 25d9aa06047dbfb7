"""Drives a real ComfyUI from the tests: installs it, starts it with the pack linked in, queues graphs, reads its events."""
