"""Stage back-ends: ReCamMaster, which films the clip again from a camera path, on ComfyUI's own MODEL."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..track2view_core.errors import Track2ViewError
from ..track2view_core.notes import Note, doubtful
from .bridge.folders import is_there, model_file, model_files
from .bridge.host import model_latent, schema
from .bridge.recammaster_model import is_of_file, with_recammaster
from .other_models_nodes import CATEGORY
from .reports import report_at
from .sockets import PAIRED_TRACKS

FOLDER = "diffusion_models"


class ApplyReCamMaster(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="Track2View_ApplyReCamMaster",
            display_name="Apply ReCamMaster",
            category=CATEGORY,
            description="Let ComfyUI's own samplers film the clip again from the new camera with ReCamMaster, a public "
            "WAN 2.1 1.3B that reads the camera's poses.",
            search_aliases=["recamera", "camera control", "video to video", "MultiCamVideo"],
            inputs=[
                io.Model.Input("model", tooltip="The file below from Load Diffusion Model, after LoRA and shift."),
                io.Combo.Input(
                    "file",
                    options=model_files(FOLDER),
                    tooltip="The ReCamMaster file that the MODEL was loaded from: ComfyUI leaves its camera layers in "
                    "the file, and they are read from there.",
                ),
                PAIRED_TRACKS.Input(
                    "paired_tracks", tooltip="From Pair Tracks: both cameras, and how far away the subject is."
                ),
                io.Latent.Input(
                    "source_latent", tooltip="The prepared clip, 81 frames of 832 x 480, through core's VAE Encode."
                ),
                io.Float.Input(
                    "subject_distance",
                    default=5.0,
                    min=0.1,
                    max=1000.0,
                    step=0.1,
                    tooltip="Metres from the camera to what the clip shows, by which the path is measured. Larger "
                    "makes the same path a wider move; ReCamMaster was trained at 3 to 10.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "patched_model",
                    display_name="MODEL",
                    tooltip="For the sampler, with any prompts: clip and camera travel with it.",
                ),
                io.Latent.Output(
                    "latent", display_name="latent", tooltip="An empty latent of the clip's size and length."
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="How far the camera goes, and what is unlike the training."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file=None) -> bool | str:
        return is_there(FOLDER, file)

    @classmethod
    def execute(cls, model, file, paired_tracks, source_latent, subject_distance) -> io.NodeOutput:
        from ..track2view_core.wan.recammaster_cameras import poses_of_pairs, size_notes

        source, path = model_latent(source_latent, "source_latent"), model_file(FOLDER, file)
        frames, height, width = 4 * (source.shape[2] - 1) + 1, 8 * source.shape[3], 8 * source.shape[4]
        camera = paired_tracks.source_camera
        if frames != len(paired_tracks) or abs(camera.width * height - camera.height * width) > 0.03 * width * height:
            raise Track2ViewError(
                f"paired_tracks are {len(paired_tracks)} frames of {camera.width} x {camera.height} and source_latent "
                f"is {frames} of {width} x {height}; track and encode the same Prepare Clip."
            )
        poses, farthest = poses_of_pairs(paired_tracks, subject_distance)
        with torch.inference_mode(False):  # weights that outlive this run must not be inference tensors
            patched = with_recammaster(model, path, poses, source)
        notes = [farthest, *size_notes(frames, width, height), *doubtful(paired_tracks.notes)]
        if not is_of_file(model, path):
            notes.append(Note.of("recammaster_other_model", file=file))
        report = report_at("Track2View_ApplyReCamMaster", notes)
        return io.NodeOutput(patched, {"samples": torch.zeros_like(source)}, report.text, ui=report.ui)


NODES = (ApplyReCamMaster,)
