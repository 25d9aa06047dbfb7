"""Stage clip: from any video to what the model takes, and back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from comfy_api.latest import InputImpl, Types, io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError
from .bridge.folders import temp_file
from .bridge.host import progress_callback, schema, show_text
from .doors import told_at
from .sockets import CAMERA_PATH, CLIP_INFO, frames_from_image, image_from_frames

if TYPE_CHECKING:
    from ..track2view_core.video import VideoClip

CATEGORY = "Track2View/clip"


class DemoClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_DemoClip",
            display_name="Demo Clip",
            category=CATEGORY,
            description="Render the built-in sample clip, with the true path of its camera, so that a first try "
            "needs no file.",
            search_aliases=["sample video", "test clip"],
            inputs=[],
            outputs=[
                io.Video.Output(
                    "video",
                    display_name="video",
                    tooltip="17 frames of 256 x 256 at 8 fps, a moving camera over moving shapes.",
                ),
                CAMERA_PATH.Output(
                    "true_path", display_name="true path", tooltip="The camera path the clip was rendered with."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        from ..track2view_core.scenes import demo_clip
        from ..track2view_core.video import VideoClip

        demo = demo_clip()
        clip = VideoClip(demo.frames, demo.fps)
        return io.NodeOutput(ExactVideo(clip, image_from_frames(clip.frames)), demo.camera)


class PrepareClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_PrepareClip",
            display_name="Prepare Clip",
            category=CATEGORY,
            description="Bring a video of any size and length to what the model takes, without cropping; Restore "
            "Clip undoes it.",
            search_aliases=["resize video", "pad video", "4n+1 frames"],
            inputs=_prepare_inputs(),
            outputs=[
                io.Image.Output(
                    "prepared", display_name="image", tooltip="The frames for the tracker and for VAE Encode."
                ),
                CLIP_INFO.Output(
                    "clip_info", display_name="clip info", tooltip="What Restore Clip needs to undo this."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="What was resized, padded, left out or guessed."
                ),
            ],
        )

    @classmethod
    def execute(cls, width, height, max_frames, fps, video=None, image=None, audio=None) -> io.NodeOutput:
        from ..track2view_core.video import prepare_clip, prepare_file

        if (video is None) == (image is None):
            came = "neither video nor image" if video is None else "both video and image"
            raise Track2ViewError(f"Prepare Clip got {came}; link one of the two.")
        wanted = {"width": width, "height": height, "frames": max_frames or None, "progress": progress_callback()}
        source = None if video is None else _streamable_source(video)
        if source is not None:
            frames, info = prepare_file(source, **wanted)
        else:
            frames, info = prepare_clip(_clip_in_memory(video, image, fps), **wanted)
        if audio is not None:
            info = replace(info, audio=_sound(audio).trimmed(info.frames / info.fps))
        report = told_at("Track2View_PrepareClip", info.report())
        show_text(report)
        return io.NodeOutput(image_from_frames(frames), info, report)


def _prepare_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "width",
            default=128,
            min=16,
            max=4096,
            step=16,
            tooltip="Width of the box the picture is fitted into, in pixels: 128 for the tiny model that is shipped, "
            "832 for WAN 2.1 at 480p. A portrait clip turns the box.",
        ),
        io.Int.Input(
            "height",
            default=128,
            min=16,
            max=4096,
            step=16,
            tooltip="Height of that box, in pixels: 128 for the tiny model that is shipped, 480 for WAN 2.1 at 480p.",
        ),
        io.Int.Input(
            "max_frames",
            default=0,
            min=0,
            max=100_000,
            tooltip="Take only the first frames of the clip; 0 takes them all. Whatever is left is padded to 4n + 1 "
            "by holding the last frame.",
        ),
        io.Float.Input(
            "fps",
            default=16.0,
            min=0.01,
            max=1000.0,
            step=0.01,
            tooltip="Frame rate of an IMAGE input (29.97 means 30000/1001); a VIDEO brings its own.",
        ),
        io.Video.Input(
            "video", optional=True, tooltip="The clip. A file is decoded as a stream and resized on the way."
        ),
        io.Image.Input("image", optional=True, tooltip="The clip as images, one a frame, instead of a video."),
        io.Audio.Input(
            "audio", optional=True, tooltip="Sound for the images; with a VIDEO it takes the place of its own."
        ),
    ]


def _clip_in_memory(video, image, fps):
    from ..track2view_core.video import VideoClip, frame_rate

    if video is None:
        return VideoClip(frames_from_image(image, "image"), frame_rate(fps))
    parts = video.get_components()
    sound = None if parts.audio is None else _sound(parts.audio)
    return VideoClip(frames_from_image(parts.images, "video"), frame_rate(parts.frame_rate), sound)


def _sound(audio):
    from ..track2view_core.video import Audio

    waveform = audio["waveform"]
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise Track2ViewError(
            f"audio has the shape {list(waveform.shape)}; it must be one sound, [1, channels, samples]."
        )
    return Audio(waveform[0].float().cpu(), int(audio["sample_rate"]))


class RestoreClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_RestoreClip",
            display_name="Restore Clip",
            category=CATEGORY,
            description="Undo Prepare Clip: the original frame count, size, frame rate and sound, also behind an "
            "upscaler or interpolation.",
            search_aliases=["unpad video", "create video"],
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The new frames, from VAE Decode or from an upscaler or a frame interpolation behind it.",
                ),
                CLIP_INFO.Input("clip_info", tooltip="From the Prepare Clip that the frames went through."),
                io.Combo.Input(
                    "size",
                    options=["original", "keep"],
                    default="original",
                    tooltip="original scales the picture to the clip's own size; keep leaves it as large as it comes "
                    "in, less the padding.",
                ),
            ],
            outputs=[
                io.Video.Output(
                    "video", display_name="video", tooltip="The clip at its exact frame rate, with its sound."
                ),
                io.Image.Output("restored", display_name="image", tooltip="The same frames as images."),
            ],
        )

    @classmethod
    def execute(cls, image, clip_info, size) -> io.NodeOutput:
        from ..track2view_core.video import restore_clip

        clip = restore_clip(frames_from_image(image, "image"), clip_info, size=size, progress=progress_callback())
        restored = image_from_frames(clip.frames)
        return io.NodeOutput(ExactVideo(clip, restored), restored)


def _streamable_source(video: Any) -> Any | None:
    """The file behind a VIDEO, to be decoded as a stream; None where there is none or only a part of it is meant."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return None
    source = video.get_stream_source()
    if not isinstance(source, str):
        return source
    # A trimmed VIDEO of a newer core still names the whole file: the durations tell.
    whole = InputImpl.VideoFromFile(source)
    return source if abs(video.get_duration() - whole.get_duration()) < 1e-3 else None


class ExactVideo(InputImpl.VideoFromComponents):
    """A VIDEO that is saved with its exact frame rate, odd sides and sound, which core's own writer does not keep.

    Downstream nodes take the lossless pictures; core's Save Video takes the file.
    """

    def __init__(self, clip: VideoClip, images: Tensor):
        self._clip = clip
        audio = clip.audio and {"waveform": clip.audio.waveform[None], "sample_rate": clip.audio.sample_rate}
        super().__init__(Types.VideoComponents(images=images, audio=audio, frame_rate=clip.fps))

    def get_frame_rate(self) -> Fraction:
        return self._clip.fps

    def save_to(self, path: Any, *args: Any, **options: Any) -> None:
        from ..track2view_core.video import write_clip

        file = temp_file("track2view_video", ".mp4")
        try:
            write_clip(self._clip, file)
            InputImpl.VideoFromFile(str(file)).save_to(path, *args, **options)
        finally:
            file.unlink(missing_ok=True)


NODES = (DemoClip, PrepareClip, RestoreClip)
