"""Laws of the node schemas, as the running server tells them."""

NODE_IDS = (
    "DemoClip",
    "PrepareClip",
    "RestoreClip",
    "KeepKnownPixels",
    "TrackPoints",
    "TrackPointsSpatialTracker",
    "SaveTracks",
    "LoadTracks",
    "LiftTracks",
    "EditTracks",
    "CameraFromPoses",
    "CameraToPoses",
    "RenderTargetView",
    "DepthFromTracks",
    "TracksTo2D",
    "TimeToMove",
    "ApplyReCamMaster",
    "NeoVerseConditioning",
    "CameraPreset",
    "CameraEditor",
    "EditPath",
    "ComposePaths",
    "FollowPoint",
    "ImportCamera",
    "ExportCamera",
    "PairTracks",
    "PreviewRecamera",
    "LoadBundle",
    "ApplyLoRA",
    "LoadWanDiffusers",
    "EmptyPrompt",
    "ConditionOnTracks",
    "ApplyToModel",
    "SampleDiffusers",
    "MemoryPlan",
    "CompareVideos",
    "CameraReport",
)


def ours(object_info):
    return {name: info for name, info in object_info.items() if name.startswith("Track2View_")}


def inputs(info):
    """(name, type, options, is required) in the order of the schema."""
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            kind, *options = info["input"][group][name]
            yield name, kind, options[0] if options else {}, group == "required"


def test_every_node_is_offered(object_info):
    assert not {f"Track2View_{node}" for node in NODE_IDS} - ours(object_info).keys()


def test_every_input_and_output_has_a_tooltip(object_info):
    for name, info in ours(object_info).items():
        bare = [socket for socket, _, options, _ in inputs(info) if not options.get("tooltip")]
        assert not bare, f"{name}: {bare}"
        assert len(info["output_tooltips"]) == len(info["output"]) and all(info["output_tooltips"]), name


def test_every_node_says_what_it_does_in_one_sentence(object_info):
    for name, info in ours(object_info).items():
        assert info["description"].endswith(".") and ". " not in info["description"], name
        assert info["category"].startswith("Track2View/"), name
        assert info["display_name"] and info["display_name"].isascii(), name


def test_sockets_are_cores_or_named_after_the_pack(object_info):
    cores = {"MODEL", "VIDEO", "IMAGE", "AUDIO", "LATENT", "CONDITIONING", "STRING", "INT", "FLOAT", "COMBO", "BOOLEAN"}
    cores |= {"VAE", "MASK", "DA3_GEOMETRY", "MOGE_GEOMETRY", "TRACKS", "LOAD3D_CAMERA"}
    cores |= {"CAMERACTRL_POSES", "CAMERAPOSES", "EXTRINSICS", "INTRINSICS"}  # other packs'
    for name, info in ours(object_info).items():
        for kind in [*(kind for _, kind, _, _ in inputs(info) if isinstance(kind, str)), *info["output"]]:
            assert kind in cores or kind.startswith("TRACK2VIEW_"), f"{name}: {kind}"


def test_every_node_has_help_that_names_its_inputs_and_outputs(server, object_info):
    import requests

    for name, info in ours(object_info).items():
        answer = requests.get(f"{server.url}/extensions/track2view/docs/{name}.md", timeout=10)
        assert answer.ok, name
        missing = [socket for socket, *_ in inputs(info) if f"`{socket}`" not in answer.text]
        missing += [socket for socket in info["output_name"] if f"`{socket}`" not in answer.text]
        assert not missing, f"{name}: {missing}"


def test_each_shipped_file_is_in_the_menus_of_its_own_loaders_alone(object_info):
    menus = {
        "dit": {("Track2View_LoadWanDiffusers", "file"), ("UNETLoader", "unet_name")},
        "vae": {("VAELoader", "vae_name")},
        "bundle": {("Track2View_LoadBundle", "file")},
    }
    for node, field in set().union(*menus.values()):
        kind, *options = object_info[node]["input"]["required"][field]
        names = kind if isinstance(kind, list) else options[0]["options"]
        shipped = {part for part in menus if f"track2view_tiny_{part}.safetensors" in names}
        assert shipped == {part for part, places in menus.items() if (node, field) in places}, node


def test_the_template_browser_offers_the_workflows_those_that_run_at_once_first(server, driver):
    offered = sorted(server.get("/workflow_templates")["track2view"])
    assert offered == sorted(file.stem for file in driver.graph.WORKFLOWS.glob("*.json"))
    at_once = [name.endswith("(runs at once)") for name in offered]
    assert at_once[:3] == [True] * 3 and at_once == sorted(at_once, reverse=True)
    assert all("(needs " in name for name in offered[sum(at_once) :])


def test_the_notes_of_a_node_name_inputs_of_its_own(object_info, pack):
    for node, door in pack("nodes.doors").DOORS.items():
        own = {name for name, *_ in inputs(object_info[node])}
        assert set(door.words.values()) <= own, node
