"""Drives a real ComfyUI from the tests: installs and starts it with the pack, queues graphs, reads its events."""
