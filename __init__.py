"""Track2View for ComfyUI: the pack's entry point. ComfyUI calls `comfy_entrypoint`; nothing is imported before that."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes.extension import Track2ViewExtension

    return Track2ViewExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
