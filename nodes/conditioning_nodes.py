"""Stage conditioning: the same points in both views, their preview, and what the model is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import doubtful
from .bridge.folders import temp_content, temp_file
from .bridge.host import model_latent, progress_callback, schema
from .reports import report_at
from .sockets import BUNDLE, CAMERA_PATH, CLIP_INFO, CONDITION, PAIRED_TRACKS, POINT_TRACKS, frames_from_image

CATEGORY = "Track2View/conditioning"


@dataclass(frozen=True, eq=False)
class LoadedCondition:
    """What travels on a CONDITION wire: the condition, and the patcher of its bundle's conditioner."""

    condition: Any  # track2view_core.wan.condition.TrackCondition
    patcher: Any


class PairTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_PairTracks",
            display_name="Pair Tracks",
            category=CATEGORY,
            description="Project the same 3D points into the source camera and into the new one.",
            inputs=[
                POINT_TRACKS.Input("point_tracks", tooltip="The tracks of the clip."),
                CAMERA_PATH.Input("camera_path", tooltip="The path of the new camera, as many frames as the tracks."),
                CLIP_INFO.Input(
                    "clip_info",
                    optional=True,
                    tooltip="From the Prepare Clip whose frames the model gets, for tracks of the clip without "
                    "padding or at another size; open for tracks of those very frames.",
                ),
            ],
            outputs=[
                PAIRED_TRACKS.Output(
                    "paired_tracks", display_name="paired tracks", tooltip="Every track in both views, one to one."
                ),
                io.String.Output("report", display_name="report", tooltip="How much of the new view the tracks reach."),
            ],
        )

    @classmethod
    def execute(cls, point_tracks, camera_path, clip_info=None) -> io.NodeOutput:
        from ..track2view_core.tracks import pair_tracks
        from ..track2view_core.tracks.pairing import pair_in_prepared_frame
        from ..track2view_core.tracks.path_checks import coverage_notes

        if clip_info is None:
            paired = pair_tracks(point_tracks, camera_path)
        else:
            paired = pair_in_prepared_frame(point_tracks, camera_path, clip_info)
        report = report_at("Track2View_PairTracks", (*coverage_notes(paired), *doubtful(paired.notes)))
        return io.NodeOutput(paired, report.text, ui=report.ui)


class PreviewRecamera(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_PreviewRecamera",
            display_name="Preview Re-camera",
            category=CATEGORY,
            description="Show both views with the same coloured tracks, coverage and both camera paths, in seconds "
            "and with no model loaded.",
            search_aliases=["preview tracks", "pair view"],
            inputs=[
                PAIRED_TRACKS.Input("paired_tracks", tooltip="From Pair Tracks."),
                io.Image.Input("image", tooltip="The frames of the clip, at any size."),
            ],
            outputs=[
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="How much of the new view the tracks reach, frame by frame.",
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, paired_tracks, image) -> io.NodeOutput:
        from ..track2view_core.preview import pair_view, path_plot, world_points, write_picture
        from ..track2view_core.tracks.path_checks import check_paired, checks_report, coverage_notes
        from ..track2view_core.video import VideoClip, frame_rate, write_clip

        views = pair_view(frames_from_image(image, "image"), paired_tracks, progress=progress_callback())
        cameras = paired_tracks.source_camera, paired_tracks.target_camera
        plot = path_plot(*cameras, world_points(paired_tracks), width=views.shape[2], height=views.shape[2] // 4 * 2)
        frames = torch.cat([views, plot.expand(len(views), -1, -1, -1)], dim=1)
        video, picture = temp_file("track2view_preview", ".mp4"), temp_file("track2view_paths", ".png")
        write_clip(VideoClip(frames, frame_rate(cameras[0].fps)), video)
        write_picture(plot, picture)
        shares = " ".join(f"{100 * float(share):.0f}" for share in paired_tracks.coverage())
        checked = checks_report(check_paired(paired_tracks))
        notes = (*coverage_notes(paired_tracks), *checked, *doubtful(paired_tracks.notes))
        told = report_at("Track2View_PreviewRecamera", notes)
        report = f"{told.text}\nCoverage per frame: {shares} %"
        shown, drawn = (ui.SavedResult(file.name, "", io.FolderType.temp) for file in (video, picture))
        # The frontend plays `images` only while none of them is a PNG, so the plot has a key of its own.
        return io.NodeOutput(
            report,
            ui={
                "images": [shown],
                "animated": (True,),
                "track2view_paths": [drawn],
                "track2view_pairs": [_pairs(paired_tracks)],
                "text": (report,),
                **told.ui,
            },
        )


def _pairs(paired_tracks) -> ui.SavedResult:
    from ..track2view_core.preview.pair_file import pack_pairs

    return ui.SavedResult(
        temp_content("track2view_pairs", ".bin", pack_pairs(paired_tracks)).name, "", io.FolderType.temp
    )


class ConditionOnTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_ConditionOnTracks",
            display_name="Condition on Tracks",
            category=CATEGORY,
            description="Tell the model which clip to re-film and where every point goes.",
            inputs=[
                BUNDLE.Input("bundle", tooltip="From Load Track2View."),
                PAIRED_TRACKS.Input(
                    "paired_tracks",
                    tooltip="From Pair Tracks, of the same clip as the latent; any size of the same shape.",
                ),
                io.Latent.Input(
                    "source_latent", tooltip="The prepared clip through core's VAE Encode with a WAN 2.1 VAE."
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=4.0,
                    step=0.05,
                    tooltip="How strongly the tracks guide; 1 as trained.",
                ),
                io.Float.Input(
                    "start",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the noise schedule after which the tracks set in.",
                ),
                io.Float.Input(
                    "end",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the noise schedule after which they let go.",
                ),
            ],
            outputs=[
                CONDITION.Output(
                    "condition", display_name="condition", tooltip="For Apply Track2View, or the diffusers sampler."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="How the clip fits what the bundle was trained for."
                ),
            ],
        )

    @classmethod
    def execute(cls, bundle, paired_tracks, source_latent, strength, start, end) -> io.NodeOutput:
        from ..track2view_core.wan.condition import TrackCondition
        from ..track2view_core.wan.trained_for import trained_notes

        latent = model_latent(source_latent, "source_latent")
        width, height = 8 * latent.shape[4], 8 * latent.shape[3]
        camera = paired_tracks.source_camera
        if abs(camera.width * height - camera.height * width) > 0.03 * camera.height * width:
            raise Track2ViewError(
                f"paired_tracks are of pictures of {camera.width} x {camera.height} and source_latent of "
                f"{width} x {height}, another "
                "shape; track and encode the same Prepare Clip."
            )
        tracks = paired_tracks.resized(width, height)
        condition = TrackCondition(bundle.bundle, tracks, latent, strength=strength, start=start, end=end)
        sampling = bundle.bundle.config.sampling
        notes = (*trained_notes(sampling, frames=len(tracks), width=width, height=height), *doubtful(tracks.notes))
        size = f"{len(tracks)} frames, {width} x {height}"
        report = report_at("Track2View_ConditionOnTracks", notes, figures=size)
        return io.NodeOutput(LoadedCondition(condition, bundle.patcher), report.text, ui=report.ui)


NODES = (PairTracks, PreviewRecamera, ConditionOnTracks)
