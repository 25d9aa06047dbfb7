"""From clips, or from scenes rendered here, to a data set of pairs: cameras, one-to-one tracks, cached latents."""

from .encoding import ClipEncoder
from .making import ShardMaker, curate
from .reencoded import Reencoding
from .rendered import RenderedScenes

__all__ = ["ClipEncoder", "Reencoding", "RenderedScenes", "ShardMaker", "curate"]
