"""The ComfyUI nodes: a schema and a short execute each, over `track2view_core`."""
