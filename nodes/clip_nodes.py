"""Stage clip: from any video to what the model takes, and back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from comfy_api.latest import InputImpl, Types, io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError
from .bridge.folders import temp_file
from .bridge.host import progress_callback, schema
from .bridge.videos import file_of_video
from .dense_inputs import dense_view, linked_depth, linked_movers, movers_socket
from .depth_inputs import depth_distances, depth_kind, geometry_sockets
from .reports import report_at
from .sockets import (
    CAMERA_PATH,
    CLIP_INFO,
    PAIRED_TRACKS,
    frames_from_image,
    image_from_frames,
    one_of,
    sound_from_audio,
    unpadded,
)

if TYPE_CHECKING:
    from ..track2view_core.video import VideoClip

CATEGORY = "Track2View/clip"
DEMO_SCENES = ("shapes", "room")


class DemoClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_DemoClip",
            display_name="Demo Clip",
            category=CATEGORY,
            description="The built-in sample clip, with the true path of its camera, so that a first try needs no "
            "file.",
            search_aliases=["sample video", "test clip"],
            inputs=[
                io.Combo.Input(
                    "scene",
                    options=list(DEMO_SCENES),
                    default=DEMO_SCENES[0],
                    optional=True,
                    tooltip="shapes: smooth moving shapes, 17 frames of 256 x 256 at 8 fps. room: a furnished room and "
                    "a figure that walks, 25 frames of 480 x 272 at 12 fps.",
                )
            ],
            outputs=[
                io.Video.Output(
                    "video",
                    display_name="video",
                    tooltip="The clip of the scene, filmed by a moving camera.",
                ),
                CAMERA_PATH.Output(
                    "true_path", display_name="true path", tooltip="The camera path the clip was rendered with."
                ),
            ],
        )

    @classmethod
    def execute(cls, scene=DEMO_SCENES[0]) -> io.NodeOutput:
        from ..track2view_core.scenes import shipped_clip

        demo = shipped_clip(one_of(DEMO_SCENES, scene, "scene"))
        return io.NodeOutput(InputImpl.VideoFromFile(str(demo.file)), demo.camera)


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
        from ..track2view_core.video import prepare_clip, prepare_file, read_part

        if (video is None) == (image is None):
            came = "neither video nor image" if video is None else "both video and image"
            raise Track2ViewError(f"Prepare Clip got {came}; link one of the two.")
        if max_frames < 0:
            raise Track2ViewError(f"max_frames is {max_frames}; it must be 1 or more, or 0 for the whole clip.")
        wanted = {"width": width, "height": height, "frames": max_frames or None, "progress": progress_callback()}
        source = file_of_video(video)
        if source is None:
            frames, info = prepare_clip(_clip_in_memory(video, image, fps), **wanted)
        elif source.whole:
            frames, info = prepare_file(source.file, **wanted)
        else:
            part = read_part(source.file, start=source.start, seconds=source.seconds, progress=wanted["progress"])
            frames, info = prepare_clip(part, **wanted)
        if audio is not None:
            info = replace(info, audio=sound_from_audio(audio).trimmed(info.frames / info.fps))
        size = f"{info.prepared_frames} frames, {info.prepared_width} x {info.prepared_height}"
        report = report_at("Track2View_PrepareClip", info.report(), figures=size)
        return io.NodeOutput(image_from_frames(frames), info, report.text, ui=report.ui)


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
    sound = None if parts.audio is None else sound_from_audio(parts.audio)
    return VideoClip(frames_from_image(parts.images, "video"), frame_rate(parts.frame_rate), sound)


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
                io.String.Output("report", display_name="report", tooltip="Length, size and rate of the clip."),
            ],
        )

    @classmethod
    def execute(cls, image, clip_info, size) -> io.NodeOutput:
        from ..track2view_core.video import notes_of_writing, restore_clip

        clip = restore_clip(frames_from_image(image, "image"), clip_info, size=size, progress=progress_callback())
        restored = image_from_frames(clip.frames)
        frames, height, width, _ = clip.frames.shape
        told = f"{frames} frames, {width} x {height}, {float(clip.fps):.4g} a second"
        report = report_at("Track2View_RestoreClip", notes_of_writing(clip), figures=told, table=told)
        return io.NodeOutput(ExactVideo(clip, restored), restored, report.text, ui=report.ui)


class KeepKnownPixels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_KeepKnownPixels",
            display_name="Keep Known Pixels",
            category=CATEGORY,
            description="Put the clip's own pixels, moved to the new camera, over a model's picture, which stays where "
            "the clip shows nothing.",
            search_aliases=["composite", "detail transfer", "restore detail", "upscale"],
            inputs=_keeping_inputs(),
            outputs=[
                io.Image.Output(
                    "kept", display_name="image", tooltip="Both together, in the size of clip; for Restore Clip."
                ),
                io.Mask.Output("known", display_name="known", tooltip="1 where the pixels are the clip's own."),
                io.String.Output(
                    "report", display_name="report", tooltip="How much is the clip's own, and what its depth rests on."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image,
        paired_tracks,
        clip,
        strength,
        feather,
        clip_info=None,
        model_clip_info=None,
        movers=None,
        **depth_fields,
    ) -> io.NodeOutput:
        from ..track2view_core.render.known_pixels import check_keeping, keep_known_pixels
        from ..track2view_core.render.view_notes import known_notes, shares
        from ..track2view_core.tracks.pairing import pair_without_padding

        check_keeping(strength, feather)
        model_info = model_clip_info or clip_info
        painted, own = frames_from_image(image, "image"), frames_from_image(clip, "clip")
        moving = linked_movers(movers, clip)
        if clip_info is not None:
            _check_same_clip(clip_info, model_info)
            own = unpadded(own, clip_info)
            moving = None if moving is None else unpadded(moving, clip_info)
        if model_info is not None:
            painted, paired_tracks = _content(painted, model_info), pair_without_padding(paired_tracks, model_info)
        _check_shape(painted, own)
        distances = linked_depth(clip, paired_tracks, clip_info, **depth_fields)
        view = dense_view(own, paired_tracks, depth=distances, movers=moving)
        settings = {"strength": strength, "feather": feather, "progress": progress_callback()}
        kept, known = keep_known_pixels(painted, view.frames, ~view.holes, **settings), (~view.holes).float()
        if clip_info is not None:
            kept, known = (_padded_as(part, clip, clip_info) for part in (kept, known))
        notes = (*known_notes(shares(~view.holes), "model"), *view.notes)
        report = report_at("Track2View_KeepKnownPixels", notes)
        return io.NodeOutput(image_from_frames(kept), known, report.text, ui=report.ui)


def _keeping_inputs() -> list[io.Input]:
    return [
        io.Image.Input("image", tooltip="The model's frames, from VAE Decode; also behind an upscaler."),
        PAIRED_TRACKS.Input("paired_tracks", tooltip="From Pair Tracks, those that conditioned the model."),
        io.Image.Input(
            "clip",
            tooltip="The clip's frames from a Prepare Clip, of any size: the result is as large as these, so a larger "
            "one than the model's brings the detail back.",
        ),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="1 shows known pixels as they are, 0 the model's picture alone.",
        ),
        io.Float.Input(
            "feather",
            default=4.0,
            min=0.0,
            max=64.0,
            step=0.5,
            tooltip="Pixels at the rim of what is known over which the model's picture goes over into it.",
        ),
        depth_kind(),
        CLIP_INFO.Input(
            "clip_info",
            optional=True,
            tooltip="From the Prepare Clip that made clip; give Restore Clip the same one.",
        ),
        CLIP_INFO.Input(
            "model_clip_info",
            optional=True,
            tooltip="From the Prepare Clip whose frames the model got, where that is another than the one that made "
            "clip.",
        ),
        io.Image.Input(
            "depth",
            optional=True,
            tooltip="Depth images of the frames of clip, fitted to the tracks, instead of depth found from the tracks.",
        ),
        *depth_distances(),
        *geometry_sockets(),
        movers_socket(),
    ]


def _check_same_clip(one: Any, other: Any) -> None:
    if (one.width, one.height, one.frames) != (other.width, other.height, other.frames):
        raise Track2ViewError(
            f"clip_info is of {one.frames} frames of {one.width} x {one.height} and model_clip_info of {other.frames} "
            f"of {other.width} x {other.height}; link both from Prepare Clips of one clip, with one max_frames."
        )


def _content(frames: Tensor, info: Any) -> Tensor:
    from ..track2view_core.video import restore_clip

    return restore_clip(frames, info, size="keep").frames


def _check_shape(painted: Tensor, own: Tensor) -> None:
    height, width = painted.shape[1:3]
    rows, columns = own.shape[1:3]
    if abs(columns * height / (rows * width) - 1) > 0.05:
        raise Track2ViewError(
            f"Without padding image is {width} x {height} and clip {columns} x {rows}, another shape; link clip_info "
            "from the Prepare Clip of clip, and model_clip_info from that of the model's frames."
        )


def _padded_as(frames: Tensor, clip: Tensor, info: Any) -> Tensor:
    from ..track2view_core.video.preparation import pad_as_prepared

    height, width = clip.shape[1:3]
    return pad_as_prepared(frames, info, width=width, height=height)


class ExactVideo(InputImpl.VideoFromComponents):
    """A VIDEO that is saved with its exact frame rate and sound, which core's own writer does not keep, and odd sides.

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


NODES = (DemoClip, PrepareClip, RestoreClip, KeepKnownPixels)
