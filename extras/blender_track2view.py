"""Cameras and points between Blender (3.6 and 4.x) and Track2View. Not an add-on: nothing is installed.

In Blender's Text Editor: open this file, set ACTION, FILE and POINTS below, and press Run Script. Or without a window:

    blender scene.blend --background --python blender_track2view.py -- export camera.json
    blender scene.blend --python blender_track2view.py -- import camera.json tracks.npz

`export` writes the active camera over the scene's frame range as a `track2view_camera` file. `import` makes a camera
with a key on every frame, sets the scene's size, rate and range, and, where POINTS names a track file (.npz) or a point
cloud (.ply), adds its points. Blender's world has z up: the first view looks along its y axis.
"""

import json
import math
import sys

ACTION = "export"  # or "import"
FILE = "//camera.json"  # // is the folder of the .blend file
POINTS = ""  # for import: a .npz of tracks or a .ply, or empty

# --- arithmetic, without Blender, on lists of rows -------------------------------------------------------------------

BLENDER_WORLD_FROM_WORLD = ((1, 0, 0), (0, 0, 1), (0, -1, 0))  # our z, forward, is Blender's y; our y, down, its -z
BLENDER_CAMERA_FROM_CAMERA = ((1, 0, 0), (0, -1, 0), (0, 0, -1))  # a Blender camera's y is up, and it looks down -z


def product(left, right):
    return [[sum(a * b for a, b in zip(row, column)) for column in zip(*right)] for row in left]  # noqa: B905


def transposed(matrix):
    return [list(column) for column in zip(*matrix)]  # noqa: B905


def _turned(pose, world, camera):
    """The 4 x 4 pose in other axes, its rotation brought back to length 1: Blender films without an object's scale."""
    rotation = [row[:3] for row in pose[:3]]
    lengths = [math.sqrt(sum(value * value for value in column)) for column in zip(*rotation)]  # noqa: B905
    rotation = [[value / length for value, length in zip(row, lengths)] for row in rotation]  # noqa: B905
    rotation = product(product(world, rotation), transposed(camera))
    position = product(world, [[row[3]] for row in pose[:3]])
    return [[*row, *place] for row, place in zip(rotation, position)] + [[0.0, 0.0, 0.0, 1.0]]  # noqa: B905


def world_from_camera(matrix_world):
    """Our camera-to-world matrix (x right, y down, z forward) of Blender's `matrix_world`."""
    return _turned(matrix_world, transposed(BLENDER_WORLD_FROM_WORLD), transposed(BLENDER_CAMERA_FROM_CAMERA))


def matrix_world_of(pose):
    """Blender's `matrix_world` of our camera-to-world matrix."""
    return _turned(pose, BLENDER_WORLD_FROM_WORLD, BLENDER_CAMERA_FROM_CAMERA)


def blender_point(point):
    """A point of our world in Blender's."""
    x, y, z = point
    return (x, z, -y)


def intrinsics(camera, width, height, aspect_x=1.0, aspect_y=1.0):
    """Our 3 x 3 intrinsics in pixels of a Blender camera (any object with lens, sensor_* and shift_*)."""
    squeeze = aspect_x / aspect_y
    upright = camera.sensor_fit == "VERTICAL" or (camera.sensor_fit == "AUTO" and height * aspect_y > width * aspect_x)
    sensor = camera.sensor_height if camera.sensor_fit == "VERTICAL" else camera.sensor_width
    side = height / squeeze if upright else width  # pixels, as wide as they are, that the sensor spans
    focal = camera.lens / sensor * side
    return [
        [focal, 0.0, width / 2 - camera.shift_x * side],
        [0.0, focal * squeeze, height / 2 + camera.shift_y * side * squeeze],
        [0.0, 0.0, 1.0],
    ]


def blender_lens(matrix, width, height, sensor_width):
    """lens, shift_x, shift_y and pixel_aspect_x / pixel_aspect_y for sensor_fit HORIZONTAL."""
    squeeze = matrix[1][1] / matrix[0][0]
    shift_x = (width / 2 - matrix[0][2]) / width
    return matrix[0][0] * sensor_width / width, shift_x, (matrix[1][2] - height / 2) / width / squeeze, squeeze


def document(frames, width, height, fps):
    """The file's content; `frames` are pairs of our pose and intrinsics."""
    entries = [{"world_from_camera": pose, "intrinsics": lens} for pose, lens in frames]
    return {
        "format": "track2view_camera", "version": 1, "width": width, "height": height, "fps": fps, "frames": entries,
    }  # fmt: skip


# --- Blender ----------------------------------------------------------------------------------------------------------


def export_camera(file):
    """Write the active camera over the scene's frame range."""
    import bpy

    scene, render = bpy.context.scene, bpy.context.scene.render
    if scene.camera is None:
        raise RuntimeError("The scene has no active camera; choose one in the Scene properties.")
    scale = render.resolution_percentage / 100
    width, height = int(render.resolution_x * scale), int(render.resolution_y * scale)
    current, frames = scene.frame_current, []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        camera = scene.camera.evaluated_get(bpy.context.evaluated_depsgraph_get())  # with constraints and parents
        if camera.data.type != "PERSP":
            raise RuntimeError("The active camera is not a perspective camera; set its Type to Perspective.")
        lens = intrinsics(camera.data, width, height, render.pixel_aspect_x, render.pixel_aspect_y)
        frames.append((world_from_camera([list(row) for row in camera.matrix_world]), lens))
    scene.frame_set(current)
    with open(bpy.path.abspath(file), "w", encoding="utf-8") as stream:  # noqa: PTH123
        json.dump(document(frames, width, height, render.fps / render.fps_base), stream)


def import_camera(file):
    """Make a camera with a key on every frame, and give the scene its size, rate and range."""
    import bpy
    from mathutils import Matrix

    with open(bpy.path.abspath(file), encoding="utf-8") as stream:  # noqa: PTH123
        told = json.load(stream)
    if told.get("format") != "track2view_camera" or told.get("version") != 1:
        raise RuntimeError("This is no track2view_camera file; write one with `track2view path convert`.")
    scene, render = bpy.context.scene, bpy.context.scene.render
    width, height, fps = told["width"], told["height"], told["fps"]
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.fps = max(1, round(fps))
    render.fps_base = render.fps / fps
    scene.frame_start, scene.frame_end = 1, len(told["frames"])
    data = bpy.data.cameras.new("Track2View camera")
    camera = bpy.data.objects.new("Track2View camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.rotation_mode, data.sensor_fit = "QUATERNION", "HORIZONTAL"
    for number, frame in enumerate(told["frames"], start=1):
        camera.matrix_world = Matrix(matrix_world_of(frame["world_from_camera"]))
        data.lens, data.shift_x, data.shift_y, squeeze = blender_lens(
            frame["intrinsics"], width, height, data.sensor_width
        )
        render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, squeeze), max(1.0, 1 / squeeze)
        for owner, names in ((camera, ("location", "rotation_quaternion")), (data, ("lens", "shift_x", "shift_y"))):
            for name in names:
                owner.keyframe_insert(name, frame=number)


def import_points(file):
    """Add the points of the first frame of a track file, or a point cloud, in Blender's axes."""
    import bpy
    from mathutils import Matrix

    path = bpy.path.abspath(file)
    if path.lower().endswith(".ply"):
        importer = getattr(bpy.ops.wm, "ply_import", None) if bpy.app.version >= (4, 0, 0) else bpy.ops.import_mesh.ply
        importer(filepath=path)
        turn = Matrix(BLENDER_WORLD_FROM_WORLD).to_4x4()
        for imported in bpy.context.selected_objects:
            imported.matrix_world = turn @ imported.matrix_world
        return
    import numpy

    with numpy.load(path, allow_pickle=False) as tracks:
        points = tracks["coords"][0].tolist()
        colors = tracks["colors"].tolist() if "colors" in tracks.files else None
    mesh = bpy.data.meshes.new("Track2View points")
    mesh.from_pydata([blender_point(point) for point in points], [], [])
    if colors:
        layer = mesh.color_attributes.new(name="Col", type="BYTE_COLOR", domain="POINT")
        for entry, color in zip(layer.data, colors):  # noqa: B905
            entry.color_srgb = (*(value / 255 for value in color[:3]), 1.0)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Track2View points", mesh))


def main(words):
    action, file, *points = words
    if action not in ("export", "import"):
        raise RuntimeError(f"The action is {action}; it must be export or import.")
    if action == "export":
        export_camera(file)
        return
    import_camera(file)
    for named in filter(None, points):
        import_points(named)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [ACTION, FILE, POINTS])
