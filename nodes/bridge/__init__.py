"""The only place that touches ComfyUI's internals: the host, its folders, and the native route on its own MODEL."""
