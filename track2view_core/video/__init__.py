"""Clips: frame arithmetic, reading, writing, and the way into the model's size and back."""

from .arithmetic import FRAME_STRIDE, SIZE_STRIDE, fit_inside, frame_rate, latent_frames, model_frames, model_side
from .clip import Audio, VideoClip
from .preparation import ClipInfo, TakenClip, own_pictures, prepare_clip, prepare_file, restore_clip, take_clip
from .reading import ClipStream, open_stream, read_clip, read_part, stream_pictures
from .writing import Film, notes_of_writing, write_clip, written_size

__all__ = [
    "FRAME_STRIDE",
    "SIZE_STRIDE",
    "Audio",
    "ClipInfo",
    "ClipStream",
    "Film",
    "TakenClip",
    "VideoClip",
    "fit_inside",
    "frame_rate",
    "latent_frames",
    "model_frames",
    "model_side",
    "notes_of_writing",
    "open_stream",
    "own_pictures",
    "prepare_clip",
    "prepare_file",
    "read_clip",
    "read_part",
    "restore_clip",
    "stream_pictures",
    "take_clip",
    "write_clip",
    "written_size",
]
