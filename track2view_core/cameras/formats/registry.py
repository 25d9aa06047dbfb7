"""All exchange formats by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from . import (
    aftereffects,
    blender,
    chan,
    colmap,
    gltf,
    nerfstudio,
    realcamvid,
    realestate10k,
    recammaster,
    track2view_json,
    tum,
)
from .path_format import PathFormat

FORMATS: Mapping[str, PathFormat] = MappingProxyType(
    {
        told.name: told
        for told in (
            track2view_json.FORMAT,
            realestate10k.FORMAT,
            realcamvid.FORMAT,
            recammaster.FORMAT,
            colmap.FORMAT,
            nerfstudio.FORMAT,
            tum.TUM,
            tum.KITTI,
            blender.FORMAT,
            chan.FORMAT,
            aftereffects.FORMAT,
            gltf.FORMAT,
        )
    }
)
