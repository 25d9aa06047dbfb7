"""Where recorded scenes come from: one layout of a data set a file. Each lists scenes, and reads no picture."""

from .multicamvideo import multicamvideo_scenes
from .realcamvid import realcamvid_scenes
from .synced import synced_scenes

__all__ = ["multicamvideo_scenes", "realcamvid_scenes", "synced_scenes"]
