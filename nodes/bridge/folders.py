"""ComfyUI's folders: where models are found, where results and temporary files go, and nothing outside them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import folder_paths

from ...track2view_core.errors import Track2ViewError

WEIGHTS_FOLDER = Path(__file__).resolve().parents[2] / "track2view_core" / "weights"
BUNDLE_FOLDER = "track2view"
OUTPUT_MARK = " [output]"  # core's own way to say that a file lies in the output folder
NO_FILE = "no file yet"


def register_model_folders() -> None:
    """Add the pack's weights after the user's own, each in its own loader's menu, and models/track2view for bundles."""
    known = folder_paths.folder_names_and_paths
    if BUNDLE_FOLDER not in known:
        known[BUNDLE_FOLDER] = ([str(Path(folder_paths.models_dir) / BUNDLE_FOLDER)], {".safetensors"})
    for name in ("diffusion_models", "vae", BUNDLE_FOLDER):
        folder_paths.add_model_folder_path(name, str(WEIGHTS_FOLDER / name))


def model_files(folder: str) -> list[str]:
    """The .safetensors of a model folder."""
    return [name for name in folder_paths.get_filename_list(folder) if name.endswith(".safetensors")]


def model_file(folder: str, name: str) -> Path:
    path = folder_paths.get_full_path(folder, name) if name.endswith(".safetensors") else None
    if path is None:
        raise Track2ViewError(
            f"{name} is not in ComfyUI's models/{folder} folder; put it there, or choose another file."
        )
    return Path(path)


def is_there(folder: str, name: str | None) -> bool | str:
    """For validate_inputs, since core compares no V3 list before a run: True, or the sentence that refuses `name`."""
    if name is None:
        return True  # linked, and known only when it runs
    try:
        model_file(folder, name)
    except Track2ViewError as error:
        return str(error)
    return True


def diffusers_folders() -> list[str]:
    """Folders under models/diffusers that hold a WAN: a pipeline, or its transformer alone."""
    found = []
    for root in map(Path, folder_paths.get_folder_paths("diffusers")):
        for config in (*root.glob("*/transformer/config.json"), *root.glob("*/config.json")):
            found.append(config.relative_to(root).parts[0])
    return sorted(set(found))


def diffusers_folder(name: str) -> Path:
    if name in diffusers_folders():  # by name alone: no path leads out
        return next(
            folder for root in folder_paths.get_folder_paths("diffusers") if (folder := Path(root) / name).is_dir()
        )
    raise Track2ViewError(
        f"{name} is no WAN in ComfyUI's models/diffusers folder; choose another model, or put it back."
    )


def kept_names(endings: tuple[str, ...], folder_signs: tuple[str, ...] = ()) -> list[str]:
    """What a node may read of ComfyUI's input folder, then of its output folder, marked as core marks it.

    Files with these endings, and folders that hold a file named like one of the signs. Where there is nothing,
    `NO_FILE` alone, which `kept_file` refuses: core answers to an empty list with a riddle.
    """
    names = []
    for folder, mark in ((folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), OUTPUT_MARK)):
        root = Path(folder)
        found = [file for file in root.rglob("*") if file.suffix.lower() in endings or file.name in folder_signs]
        folders = {file.parent for file in found if file.name in folder_signs and file.parent != root}
        files = (file for file in found if not folders.intersection(file.parents) and file.is_file())
        names += sorted(file.relative_to(root).as_posix() + mark for file in folders.union(files))
    return names or [NO_FILE]


def kept_file(name: str, endings: tuple[str, ...] = ()) -> Path:
    """The file or folder that `kept_names` called `name`; nothing outside the two folders.

    endings: of the files that are allowed; none: any, and folders.
    """
    if name == NO_FILE:
        raise Track2ViewError(
            "There is no file to read yet; upload one on the node, or put it into ComfyUI's input folder and press R."
        )
    in_output = name.endswith(OUTPUT_MARK)
    folder = folder_paths.get_output_directory() if in_output else folder_paths.get_input_directory()
    file = _within(Path(folder), name.removesuffix(OUTPUT_MARK))
    if file is None or (endings and file.suffix.lower() not in endings):
        wanted = f"a {' or '.join(endings)}" if endings else "a file"
        raise Track2ViewError(f'file is "{name}"; it must be {wanted} inside ComfyUI\'s input or output folder.')
    if not (file.is_file() if endings else file.exists()):
        raise Track2ViewError(
            f'"{name}" is not in ComfyUI\'s input or output folder any more; choose another file, or put it back.'
        )
    return file


def is_kept(name: str | None, endings: tuple[str, ...] = ()) -> bool | str:
    """For a node's validate_inputs: True, or the sentence that refuses `name`."""
    try:
        if name is not None:  # linked, and known only when it runs
            kept_file(name, endings)
    except Track2ViewError as error:
        return str(error)
    return True


def private_folder() -> Path:
    """The pack's own folder under ComfyUI's user folder, which ComfyUI's own API neither reads nor writes."""
    return Path(folder_paths.get_user_directory()) / "__track2view"


def output_file(prefix: str, suffix: str) -> Path:
    """A new numbered file under ComfyUI's output folder; `prefix` may name subfolders, and nothing outside."""
    # What Windows or a shell could take for something else becomes an underscore; dots alone are no names.
    parts = [re.sub(r'[<>:"|?*\x00-\x1f]', "_", part).strip(" .") for part in re.split(r"[\\/]+", prefix)]
    parts = [part for part in parts if part]
    root = folder_paths.get_output_directory()
    if not parts or ".." in re.split(r"[\\/]+", prefix) or _within(Path(root), "/".join(parts)) is None:
        raise Track2ViewError(
            f'filename_prefix is "{prefix}"; give a name such as tracks or a subfolder and a name such as clips/tracks.'
        )
    folder, name, counter, _, _ = folder_paths.get_save_image_path("/".join(parts), root)
    return Path(folder) / f"{name}_{counter:05}_{suffix}"


def _within(root: Path, name: str) -> Path | None:
    """Where `name` leads from `root`, every link followed; None where that is outside or is `root` itself."""
    root = root.resolve()
    try:
        place = (root / name).resolve()
    except ValueError:  # a NUL
        return None
    return place if place.is_relative_to(root) and place != root else None


def below_output(file: Path) -> str:
    """The path of `file` inside the output folder, with forward slashes."""
    return file.relative_to(folder_paths.get_output_directory()).as_posix()


def temp_file(name: str, suffix: str) -> Path:
    """A new numbered file in ComfyUI's temp folder, which ComfyUI empties."""
    folder, stem, counter, _, _ = folder_paths.get_save_image_path(name, folder_paths.get_temp_directory())
    return Path(folder) / f"{stem}_{counter:05}_{suffix}"


def temp_named(stem: str, suffix: str, content: bytes) -> Path:
    """A name in ComfyUI's temp folder that follows from the content: what has not changed keeps its name, so that it is
    not made again and a browser need not load it again."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{stem}_{hashlib.sha256(content).hexdigest()[:16]}{suffix}"


def temp_content(stem: str, suffix: str, content: bytes) -> Path:
    """A file in ComfyUI's temp folder with this content, named after it."""
    file = temp_named(stem, suffix, content)
    if not file.is_file():
        unfinished = file.with_suffix(".part")
        unfinished.write_bytes(content)
        unfinished.replace(file)
    return file
