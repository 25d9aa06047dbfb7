"""Stage report: the result beside the source, and its camera against the one that was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from comfy_api.latest import InputImpl, io, ui

from .bridge.folders import temp_file
from .bridge.host import progress_callback, schema
from .bridge.videos import file_of_video
from .reports import report_at
from .sockets import (
    CAMERA_PATH,
    CLIP_INFO,
    frames_from_image,
    image_from_frames,
    one_of,
    sound_from_audio,
    unpadded,
)

if TYPE_CHECKING:
    from ..track2view_core.preview.comparison import ComparedClip

CATEGORY = "Track2View/report"
COMPARED = 6  # sockets; the browser shows those that are linked and one more
LENGTHS = ("longest", "shortest")


class CompareVideos(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_CompareVideos",
            display_name="Compare Videos",
            category=CATEGORY,
            description="Play two to six videos in step, under a wipe in the node and beside each other as one video.",
            search_aliases=["side by side", "before after", "video grid", "wipe", "compare"],
            inputs=_compared_inputs(),
            outputs=[
                io.Video.Output(
                    "comparison", display_name="comparison", tooltip="All videos with their names, for Save Video."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="How their sizes, lengths and frame rates were matched."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, video_1, video_2, labels, columns, height, length, **more) -> io.NodeOutput:
        from ..track2view_core.preview.comparison import Comparison, labels_from
        from ..track2view_core.video import write_clip

        one_of(LENGTHS, length, "length")
        names = labels_from(labels, COMPARED)
        sockets = [video_1, video_2, *(more.get(f"video_{number}") for number in range(3, COMPARED + 1))]
        clips = [_compared(video, name) for name, video in zip(names, sockets, strict=True) if video is not None]
        comparison = Comparison(clips, columns=columns, height=height, length=length)
        file = temp_file("track2view_comparison", ".mp4")
        write_clip(comparison.film(progress_callback()), file)
        report = report_at("Track2View_CompareVideos", comparison.notes())
        cells = [
            {"label": clip.label, "x": box.x, "y": box.y, "width": box.width, "height": box.height}
            for clip, box in zip(clips, comparison.boxes, strict=True)
        ]
        # As text, since frontends take an object among outputs for a file of theirs.
        shown = json.dumps({"video": ui.SavedResult(file.name, "", io.FolderType.temp), "cells": cells})
        return io.NodeOutput(
            InputImpl.VideoFromFile(str(file)),
            report.text,
            ui={"track2view_comparison": [shown], "text": (report.text,), **report.ui},
        )


class CameraReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_CameraReport",
            display_name="Camera Report",
            category=CATEGORY,
            description="Measure the camera of a result with the built-in tracker, and compare it with the path that "
            "was asked for.",
            search_aliases=["camera error", "RotErr", "TransErr", "evaluate camera"],
            inputs=[
                io.Image.Input("image", tooltip="The result: the frames from Restore Clip, or a model's own frames."),
                CAMERA_PATH.Input("camera_path", tooltip="The path that was asked for, as it went into Pair Tracks."),
                CAMERA_PATH.Input(
                    "source_path",
                    optional=True,
                    tooltip="The camera of the clip, from the tracker: it says how large the move is, by what a copy "
                    "of the source would score.",
                ),
                CLIP_INFO.Input(
                    "clip_info",
                    optional=True,
                    tooltip="From Prepare Clip, for frames that still have its padding, such as those of VAE Decode; "
                    "open behind Restore Clip.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "picture", display_name="picture", tooltip="Both paths, one over the other, and errors over time."
                ),
                io.String.Output("report", display_name="report", tooltip="RotErr and TransErr, and how to read them."),
                io.String.Output("json", display_name="json", tooltip="The same figures by frame, as JSON."),
            ],
        )

    @classmethod
    def execute(cls, image, camera_path, source_path=None, clip_info=None) -> io.NodeOutput:
        from ..track2view_core.evaluation.camera_check import check_camera, check_picture

        frames = frames_from_image(image if clip_info is None else unpadded(image, clip_info), "image")
        check = check_camera(frames, camera_path, source=source_path, progress=progress_callback())
        report = report_at("Track2View_CameraReport", check.notes)
        picture = image_from_frames(check_picture(check)[None])
        return io.NodeOutput(picture, report.text, json.dumps(check.data()), ui=report.ui)


def _compared_inputs() -> list[io.Input]:
    return [
        io.Video.Input("video_1", tooltip="What the others are compared with; it gives the shape."),
        io.Video.Input("video_2", tooltip="The second video, of any size, length and frame rate."),
        io.String.Input(
            "labels",
            default="source, result",
            tooltip="The videos' names in their order, between commas; those without one are numbered.",
        ),
        io.Int.Input("columns", default=0, min=0, max=COMPARED, tooltip="Videos in a row; 0 fills a screen best."),
        io.Int.Input(
            "height",
            default=0,
            min=0,
            max=2160,
            step=2,
            tooltip="Height of each picture in pixels; 0 takes that of the largest video, with its longer side in 512 "
            "to 960 px.",
        ),
        io.Combo.Input(
            "length",
            options=list(LENGTHS),
            default=LENGTHS[0],
            tooltip="longest: videos that end before hold their last frame. shortest: all end with the first that "
            "ends.",
        ),
        *(
            io.Video.Input(f"video_{number}", optional=True, tooltip=f"Video {number}, if there is one.")
            for number in range(3, COMPARED + 1)
        ),
    ]


def _compared(video: Any, label: str) -> ComparedClip:
    """A VIDEO as it is compared: a file picture by picture, pictures in memory as they lie there."""
    from ..track2view_core.preview.comparison import ComparedClip
    from ..track2view_core.video import frame_rate, read_part
    from ..track2view_core.video.reading import open_stream, stream_pictures

    source = file_of_video(video)
    if source is None:
        parts = video.get_components()
        frames, height, width = parts.images.shape[:3]
        sound = None if parts.audio is None else sound_from_audio(parts.audio)
        images = parts.images
        return ComparedClip(
            label, lambda: _pictures(images, label), frames, width, height, frame_rate(parts.frame_rate), sound
        )
    if source.whole:
        stream = open_stream(source.file)
        sound, _ = stream.sound(stream.wanted)
        return ComparedClip(
            label,
            lambda: stream_pictures(stream),
            stream.wanted,
            stream.width,
            stream.height,
            stream.fps,
            sound,
            stream.pixel_aspect,
        )
    part = read_part(source.file, start=source.start, seconds=source.seconds)
    return ComparedClip(
        label,
        lambda: (frame.numpy() for frame in part.frames),
        len(part),
        part.width,
        part.height,
        part.fps,
        part.audio,
        part.pixel_aspect,
    )


def _pictures(images: Any, name: str) -> Iterator[Any]:
    for image in images:
        yield frames_from_image(image[None], name)[0].numpy()


NODES = (CompareVideos, CameraReport)
