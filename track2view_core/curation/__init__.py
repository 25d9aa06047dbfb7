"""From clips, or from scenes rendered here, to a data set of pairs: cameras, one-to-one tracks, cached latents."""

from .clips import Cut, FilmedClip
from .encoding import ClipEncoder
from .filmed import FilmedPairs, FilmedScene, PairSettings
from .making import ShardMaker, curate
from .reencoded import Reencoding
from .refusal import PairRefused
from .rendered import RenderedScenes, SceneSettings

__all__ = [
    "ClipEncoder",
    "Cut",
    "FilmedClip",
    "FilmedPairs",
    "FilmedScene",
    "PairRefused",
    "PairSettings",
    "Reencoding",
    "RenderedScenes",
    "SceneSettings",
    "ShardMaker",
    "curate",
]
