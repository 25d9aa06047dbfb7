"""A COLMAP model as text: a folder with cameras.txt and images.txt.

Source: colmap.github.io/format.html. images.txt has two lines an image: `IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME`
with the world-to-camera rotation and translation in OpenCV axes, then the image's points, which may be an empty line.
The centre of the first pixel is at (0.5, 0.5), as here. Images are taken in the order of their names, numbers within
them counted as numbers, because ids need not follow time; the names also tell cameras apart (`frame_series.py`).
Frames that were not registered are not in the file at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import Track2ViewError
from ..path import CameraPath
from ..rotations import quaternion_from_matrix, rigid_inverse
from .frame_series import Series, chosen_series, missing_frames
from .parsing import Source, check_length, frame_name, number, whole
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    check_focals,
    line_of,
    pinhole,
    pixel_lens,
    plain_lens,
    poses_of_quaternions,
    refuse_skew,
    words,
)

# model -> (focal lengths, distortion parameters); after the focal lengths come cx and cy
MODELS = {
    "SIMPLE_PINHOLE": (1, 0),
    "PINHOLE": (2, 0),
    "SIMPLE_RADIAL": (1, 1),
    "RADIAL": (1, 2),
    "OPENCV": (2, 4),
    "FULL_OPENCV": (2, 8),
    "SIMPLE_RADIAL_FISHEYE": (1, 1),
    "RADIAL_FISHEYE": (1, 2),
    "OPENCV_FISHEYE": (2, 4),
    "FOV": (2, 1),
    "THIN_PRISM_FISHEYE": (2, 8),
}
FISHEYE = ("FISHEYE", "FOV")  # in a model's name: its projection is no pinhole's, whatever its parameters are
CAMERAS, IMAGES, POINTS = "cameras.txt", "images.txt", "points3D.txt"


@dataclass(frozen=True)
class _Camera:
    model: str
    size: tuple[int, int]
    lens: tuple[float, float, float, float]  # fx fy cx cy
    bends: bool  # has distortion, or is a fisheye lens


@dataclass(frozen=True)
class _Image:
    line: int
    quaternion: list[float]
    position: list[float]
    camera: str
    name: str


def model_folder(file: Path) -> Path:
    """The folder of the two files: `file` itself, the folder of a file of the model, or a project's sparse/0."""
    folder = file if file.is_dir() else file.parent
    candidates = (folder, folder / "sparse" / "0", folder / "sparse")
    return next((place for place in candidates if (place / IMAGES).is_file()), folder)


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    folder = model_folder(source.file)
    for name in (CAMERAS, IMAGES):
        if not (folder / name).is_file():
            binary = (folder / name).with_suffix(".bin").is_file()
            hint = "convert it with `colmap model_converter --output_type TXT`" if binary else "name a model's folder"
            source.refuse(f"holds no {name}; {hint}.")
    cameras = _cameras(Source(folder / CAMERAS, source.door))
    listing = Source(folder / IMAGES, source.door)
    listed = _images(listing)
    names = [image.name for image in listed]
    series = _chosen(listing, listed, wanted.camera)
    frames, gap = missing_frames(listing, names, series)
    images = [listed[place] for place in series.places]
    where = line_of(listing.name, [image.line for image in images])
    for frame, image in enumerate(images):
        if image.camera not in cameras:
            raise Track2ViewError(f"{where(frame)} names camera {image.camera[:20]!r}, which {CAMERAS} does not hold.")
    used = [cameras[image.camera] for image in images]
    sizes = {camera.size for camera in used}
    if len(sizes) > 1:
        ids = ", ".join(sorted({image.camera for image in images})[:12])
        asked = listing.advice("give a model of one clip", camera=f"give {{}} as one of its cameras, {ids}")
        listing.refuse(f"mixes images of different sizes; {asked}.")
    camera_from_world = poses_of_quaternions(
        [image.quaternion for image in images], [image.position for image in images], where
    )
    bent = next((camera.model for camera in used if camera.bends), None)
    problem = bent and (
        f"has a lens with distortion ({bent}), which a camera path cannot hold; "
        f"{plain_lens(source, 'undistort the images with COLMAP')}."
    )
    lenses = pinhole(*torch.tensor([camera.lens for camera in used], dtype=torch.float64).unbind(-1))
    return RecordedCamera(
        rigid_inverse(camera_from_world), pixel_lens(lenses), used[0].size, lens_problem=problem, gap=gap, frames=frames
    )


def _chosen(listing: Source, images: list[_Image], camera: str | None) -> Series:
    """The pictures of one camera, which is named as the pictures are, or by its CAMERA_ID."""
    places = [place for place, image in enumerate(images) if image.camera == camera]
    if not places or len(places) == len(images):
        return chosen_series(listing, [image.name for image in images], None if places else camera)
    one = chosen_series(listing, [images[place].name for place in places], None)
    return Series(one.name, tuple(places[place] for place in one.places), one.numbers)


def _cameras(source: Source) -> dict[str, _Camera]:
    cameras = {}
    for line_number, line in source.lines():
        told = line.split()
        if not told or told[0].startswith("#"):
            continue
        where = source.at_line(line_number)
        check_length(len(cameras) + 1, where)
        if len(told) < 5 or told[1] not in MODELS:
            model = told[1][:30] if len(told) > 1 else ""
            raise Track2ViewError(f"{where} has the camera model {model!r}; known are {', '.join(MODELS)}.")
        focals, bends = MODELS[told[1]]
        if len(told) != 4 + focals + 2 + bends:
            raise Track2ViewError(
                f"{where} has {len(told) - 4} parameters where {told[1]} has {focals + 2 + bends}; it is cut short or "
                "of another model."
            )
        size = (whole(told[2], f"{where} width"), whole(told[3], f"{where} height"))
        values = [number(word, where) for word in told[4:]]
        check_focals(values[:focals], lambda _, place=where: place)
        lens = (values[0], values[focals - 1], values[focals], values[focals + 1])
        cameras[told[0]] = _Camera(told[1], size, lens, any(values[focals + 2 :]) or told[1].endswith(FISHEYE))
    if not cameras:
        source.refuse("holds no camera; it is empty or of another format.")
    return cameras


def _images(source: Source) -> list[_Image]:
    images: list[_Image] = []
    points_follow = False
    for line_number, line in source.lines():
        where = source.at_line(line_number)
        if points_follow:
            points_follow = False
            if len(line.split()) % 3:  # X, Y, POINT3D_ID
                raise Track2ViewError(
                    f"{where} must list the points of the image before it and looks like another image; COLMAP has two "
                    "lines an image, of which the second may be empty."
                )
            continue
        told = line.split(maxsplit=9)
        if not told or told[0].startswith("#"):
            continue
        if len(told) < 10:
            raise Track2ViewError(
                f"{where} has {len(told)} columns where IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME must stand; the "
                "file is cut short or lacks the second line of an image."
            )
        check_length(len(images) + 1, where)
        values = [number(word, where) for word in told[1:8]]
        images.append(_Image(line_number, values[:4], values[4:], told[8], told[9].strip()))
        points_follow = True
    if not images:
        source.refuse("holds no image; it is empty or of another format.")
    return images


def _write(path: CameraPath, file: Path) -> dict[str, bytes]:
    refuse_skew(path, FORMAT.title)
    k = path.intrinsics
    lenses = [" ".join(words(lens)) for lens in torch.stack([k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]], dim=-1)]
    ids = {lens: index + 1 for index, lens in enumerate(dict.fromkeys(lenses))}
    cameras = ["# CAMERA_ID MODEL WIDTH HEIGHT FX FY CX CY"]
    cameras += [f"{index} PINHOLE {path.width} {path.height} {lens}" for lens, index in ids.items()]
    images = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points (none here)"]
    camera_from_world = path.camera_from_world
    quaternions = quaternion_from_matrix(camera_from_world[:, :3, :3])
    for frame, (lens, turn, pose) in enumerate(zip(lenses, quaternions, camera_from_world, strict=True)):
        numbers = " ".join([*words(turn), *words(pose[:3, 3])])
        images += [f"{frame + 1} {numbers} {ids[lens]} {frame_name(frame)}", ""]
    texts = {CAMERAS: cameras, IMAGES: images, POINTS: ["# no points"]}
    return {name: ("\n".join(lines) + "\n").encode("ascii") for name, lines in texts.items()}


FORMAT = PathFormat(
    name="colmap",
    title="COLMAP text model",
    endings=(),
    description="a folder with cameras.txt and images.txt",
    lens="pinhole",
    size=True,
    fps=False,
    read=_read,
    recognises=lambda source: (
        (model_folder(source.file) / IMAGES).is_file()
        and (source.file.is_dir() or source.file.name in (CAMERAS, IMAGES, POINTS))
    ),
    write=_write,
    folder=True,
    several=True,
)
