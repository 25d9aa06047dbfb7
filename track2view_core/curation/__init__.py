"""From clips, or from scenes rendered here, to a data set of pairs: cameras, one-to-one tracks, cached latents."""

from .clip_loading import Cut, PairRefused, RecordedClip, RecordedScene
from .latent_caching import ClipEncoder, Reencoding
from .recorded_pairs import PairSettings, RecordedPairs
from .rendered_pairs import RenderedScenes, SceneSettings
from .shard_maker import ShardMaker, curate

__all__ = [
    "ClipEncoder",
    "Cut",
    "PairRefused",
    "PairSettings",
    "RecordedClip",
    "RecordedPairs",
    "RecordedScene",
    "Reencoding",
    "RenderedScenes",
    "SceneSettings",
    "ShardMaker",
    "curate",
]
