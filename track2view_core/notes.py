"""What a user should know of a result: found in the core, worded once, the remedy named by each door in its own words.

A `Note` is data: a code, how serious it is, the figures, and the settings that cure it. Its sentence stands in `KINDS`
and nowhere else. A `Door` (the library, a verb of the command line, a node) says what it calls those settings; a remedy
that a door does not have is left out, and the finding still stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from string import Formatter
from typing import Any

from .errors import Track2ViewError

Fact = bool | int | float | str | tuple[int | str, ...] | None
"""None is a figure that could not be known."""


class Severity(IntEnum):
    """How far a result may be trusted; the larger, the less."""

    INFO = 0  # a plain fact
    CAUTION = 1  # assumed, guessed or weak: look before you go on
    WARNING = 2  # likely to be wrong


@dataclass(frozen=True)
class Door:
    """Where a user stands, and what that place calls the settings of the core."""

    name: str
    words: Mapping[str, str]  # setting -> argument, option or input; what is not in it cannot be set here


@dataclass(frozen=True)
class Kind:
    """What all notes of one code have in common."""

    severity: Severity
    text: str  # of the facts, by name; it names no setting
    advice: Mapping[str, str] = field(default_factory=dict)  # setting -> what to do with it; `{}` is its name

    def told(self, facts: Mapping[str, Fact]) -> str | None:
        """The text with its facts; None where they are not those of the text."""
        return told_by(self.text, facts)


@dataclass(frozen=True)
class Note:
    """One thing to know. `Note.of` makes it from a code and its facts."""

    code: str
    severity: Severity
    facts: Mapping[str, Fact] = field(default_factory=dict)
    remedy: tuple[str, ...] = ()  # settings of the core
    shot: int | None = None  # the frame at which the shot begins that it is about; None: it is about the whole clip

    def __post_init__(self) -> None:
        object.__setattr__(self, "severity", Severity(self.severity))
        object.__setattr__(self, "facts", {name: _plain(name, value) for name, value in self.facts.items()})
        object.__setattr__(self, "remedy", tuple(self.remedy))

    @classmethod
    def of(cls, code: str, **facts: Any) -> Note:
        """A note of `KINDS`; numbers of numpy and torch become Python's, those that are not finite None."""
        kind = KINDS[code]
        if set(facts) != facts_in(kind.text):
            raise TypeError(f"A note {code!r} has the facts {sorted(facts_in(kind.text))}, not {sorted(facts)}.")
        return cls(code, kind.severity, facts, tuple(kind.advice))

    @classmethod
    def from_data(cls, data: object) -> Note:
        """What `data` gave; of a plain sentence, as older files hold them, a note of code `text`.

        Raises:
            Track2ViewError: it is neither.
        """
        if isinstance(data, str):
            return _of_sentence(data)
        try:
            if not isinstance(data, dict):
                raise TypeError
            facts = {str(name): value for name, value in data["facts"].items()}
            shot = None if data.get("shot") is None else int(data["shot"])
            remedy = tuple(str(setting) for setting in data.get("remedy", ()))
            return cls(str(data["code"]), Severity[data["severity"].upper()], facts, remedy, shot)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Track2ViewError(
                f"A note is {str(data)[:80]!r}; it must be a sentence, or code, severity and facts by name."
            ) from error

    def data(self) -> dict[str, Any]:
        """As JSON holds it, without loss."""
        facts = {name: list(value) if isinstance(value, tuple) else value for name, value in self.facts.items()}
        data = {"code": self.code, "severity": self.severity.name.lower(), "facts": facts, "remedy": list(self.remedy)}
        return data if self.shot is None else {**data, "shot": self.shot}

    def without(self, **given: object) -> Note:
        """The same, not advising those of the settings that are given already, that is not None."""
        return replace(self, remedy=tuple(name for name in self.remedy if given.get(name) is None))

    def text(self, door: Door | None = None) -> str:
        """The sentence, with what to do about it at `door` (None: the library)."""
        words = (LIBRARY if door is None else door).words
        kind = KINDS.get(self.code)
        found = None if kind is None else kind.told(self.facts)
        if kind is None or found is None:  # of a file that another version wrote
            return self._placed(f"{self.code.replace('_', ' ')}: {self.facts}")
        cures = [setting for setting in self.remedy if setting in kind.advice and setting in words]
        if not cures:
            return self._placed(found)
        advice = ", or ".join(kind.advice[setting].format(words[setting]) for setting in cures)
        return self._placed(f"{found.rstrip('.')}; {advice}" + "." * found.endswith("."))

    def __str__(self) -> str:
        return self.text()

    def _placed(self, sentence: str) -> str:
        return sentence if self.shot is None else f"shot at frame {self.shot}: {sentence}"


def report_lines(notes: Iterable[Note], door: Door | None = None) -> list[str]:
    """A line a note, in their order; what is more than a plain fact is marked."""
    return [("WARNING: " if note.severity > Severity.INFO else "") + note.text(door) for note in notes]


def doubtful(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Those that are more than a plain fact: what travels on from the step that found it to those that build on it."""
    return tuple(note for note in notes if note.severity > Severity.INFO)


def told_by(template: str, facts: Mapping[str, Fact]) -> str | None:
    """A template of `KINDS` with its facts; None where they are not those of the template."""
    try:
        return _FORMAT.vformat(template, (), facts)
    except (AttributeError, KeyError, ValueError, TypeError):
        return None


def facts_in(text: str) -> set[str]:
    """The facts that a text of `KINDS` needs."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


class _Format(Formatter):
    """`str.format` with a space before the per cent sign, lists, facts not known, and formats of its own.

    `# frame`: 1 frame, 2 frames. `bytes` and `time` (of seconds) in the unit that fits. `span`: Frame 3, Frames 3-5.
    `more`: in how many more places it is the same, or nothing.
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return "unknown"
        if format_spec in _FORMATS:
            return _FORMATS[format_spec](value)
        if isinstance(value, tuple):
            *others, last = map(str, value)
            return f"{', '.join(others)} and {last}" if others else last
        if format_spec.startswith("# "):
            return f"{value} {format_spec[2:]}" + "s" * (value != 1)
        told = format(value, format_spec)
        return told.replace("%", " %") if format_spec.endswith("%") else told


def _bytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"


def _span(frames: tuple[int, int]) -> str:
    first, last = frames
    return f"Frame {first}" if first == last else f"Frames {first}-{last}"


def _more(places: int) -> str:
    return f"; the same in {places} more places" if places else ""


_FORMATS: Mapping[str, Callable[[Any], str]] = {"bytes": _bytes, "time": _time, "span": _span, "more": _more}
_FORMAT = _Format()


def _plain(name: str, value: Any) -> Fact:
    if hasattr(value, "item"):  # a number of numpy or torch
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list | tuple):
        return tuple(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"The fact {name} is a {type(value).__name__}; it must be a number, a text or a tuple of them.")


def _of_sentence(sentence: str) -> Note:
    """A sentence of an older file, taken apart so that it reads the same again."""
    shot, rest = None, sentence
    if rest.startswith("shot at frame ") and ": " in rest:
        number, _, told = rest.removeprefix("shot at frame ").partition(": ")
        shot, rest = (int(number), told) if number.isdecimal() else (None, sentence)
    severity = Severity.CAUTION if rest.startswith("WARNING: ") else Severity.INFO
    return Note("text", severity, {"text": rest.removeprefix("WARNING: ")}, (), shot)


# --- the wording ------------------------------------------------------------------------------------------------------

LIBRARY = Door(
    "library",
    {
        "camera": "camera",
        "depth": "depth",
        "fov_degrees": "fov_degrees",
        "memory": "free",
        "motion": "motion",
        "points": "points",
        "quaternion_order": "quaternion_order",
        "size": "size",
        "subject": "subject",
        "tracker": "SpatialTrackerV2 as tracker",
        "tracks": "tracks",
    },
)
"""The arguments of the core's functions; their names stand for the settings in `Kind.advice` and `Note.remedy`."""

_INFO, _CAUTION, _WARNING = Severity

_VIDEO = {
    "clip": Kind(
        _INFO,
        "Clip: {width} x {height}, {frames:# frame} at {rate} frames a second ({seconds:.2f} s), "
        "{channels} x {sample_rate} Hz sound.",
    ),
    "silent_clip": Kind(
        _INFO, "Clip: {width} x {height}, {frames:# frame} at {rate} frames a second ({seconds:.2f} s), no sound."
    ),
    "clip_trimmed": Kind(_INFO, "Trimmed: the first {frames} of {frames_in_file} frames, and the sound to match."),
    "clip_scaled": Kind(
        _INFO, "Scaled: {from_width} x {from_height} to {width} x {height}, the whole picture, aspect kept."
    ),
    "clip_padded": Kind(
        _INFO,
        "Padded: to {width} x {height} by repeating the edges ({left} px left, {right} right, {above} above, {below} "
        "below).",
    ),
    "clip_lengthened": Kind(
        _INFO, "Lengthened: to {frames} frames (4n + 1) by showing the last one {times:# time} more."
    ),
    "rate_assumed": Kind(_CAUTION, "The file names no frame rate; {rate} frames a second were assumed."),
    "rate_steadied": Kind(
        _INFO, "The frame times wander a little; they were taken as a steady {rate} frames a second."
    ),
    "rate_varies": Kind(
        _INFO,
        "The frame rate varies; the clip was brought to a steady {rate} frames a second ({repeated} shown again, "
        "{dropped} left out).",
    ),
    "times_senseless": Kind(
        _CAUTION, "The frame times make no sense; every frame was shown once at {rate} frames a second."
    ),
    "times_missing": Kind(
        _CAUTION, "The file has no time stamps; its frames are shown one after another, {rate} a second as they say."
    ),
    "times_and_rate_missing": Kind(
        _CAUTION,
        "The file has no time stamps and names no frame rate; its frames are shown one after another, and {rate} a "
        "second were assumed.",
    ),
    "recordings_joined": Kind(
        _CAUTION,
        "The file holds {count} recordings, each with a clock of its own; they are shown one after another, the next "
        "from frame {frames} on.",
    ),
    "beginning_lost": Kind(
        _CAUTION, "The file begins in the middle: its first {frames:# frame} cannot be decoded and were left out."
    ),
    "second_file_unread": Kind(
        _WARNING,
        "The file is several files joined byte by byte, of which only the first is sure to be read; the last "
        "{share:.0%} are another: give the parts one by one.",
    ),
    "deinterlaced": Kind(
        _INFO,
        "The file is interlaced, two half pictures woven into one frame; it was deinterlaced, a frame for a frame.",
    ),
    "combs_found": Kind(
        _CAUTION,
        "The pictures show the combs of interlaced ones, though the file does not say that they are; they were "
        "deinterlaced, a frame for a frame.",
    ),
    "hdr_tone_mapped": Kind(
        _INFO,
        "The file is HDR ({transfer}, up to {peak:.0f} cd/m2); it was tone-mapped to the range of BT.709, and what is "
        "brighter than white paper was rolled off.",
    ),
    "gamut_mapped": Kind(_INFO, "The file has the colours of {gamut}; they were brought to those of BT.709."),
    "laid_over_black": Kind(_CAUTION, "The file is transparent in places; it was laid over black."),
    "mirrored": Kind(_INFO, "The file asks to be shown mirrored, {way}; it was."),
    "set_upright": Kind(_INFO, "The file is stored turned by {degrees} degrees; it was set upright."),
    "turn_left_out": Kind(
        _CAUTION, "The file asks for a turn by {degrees} degrees; that was left out, as it is no quarter turn."
    ),
    "pixels_not_square": Kind(_INFO, "The file has pixels of {width}:{height}; the model sees square ones."),
    "written_even": Kind(
        _INFO,
        "{width} x {height} is written as {written_width} x {written_height}, the last column or row twice, as players "
        "take even sides only.",
    ),
    "sound_left_out": Kind(_CAUTION, "The sound uses a codec that this FFmpeg cannot decode; it was left out."),
    "sound_damaged": Kind(_CAUTION, "The sound is damaged ({reason}); it was kept as far as it can be read."),
}

_CAMERAS = {
    "times_unit": Kind(_INFO, "its times are taken as {unit}, as they make no rate of a clip as {format_unit}"),
    "frames_filled": Kind(
        _CAUTION, "frames are missing: {count:# frame} were filled in between the {rows} that are there"
    ),
    "frames_joined": Kind(
        _CAUTION, "frames are missing, and the {rows} that are there were taken as if they followed one another"
    ),
    "quaternion_order_doubtful": Kind(
        _WARNING,
        "the first quaternion is 1 0 0 0, half a turn about x where w stands last; if w stands first, as MonST3R and "
        "other programs write it, the path is read wrongly",
        {"quaternion_order": "say which with {}: wxyz or xyzw"},
    ),
    "lens_in_shares": Kind(
        _WARNING,
        "the lens has a focal length of {focal:.4g} pixels in a picture of {width} x {height}, which would see "
        "{degrees:.0f} degrees; it is likely stated in shares of the picture's sides, so multiply it by them",
        {"fov_degrees": "give {}"},
    ),
    "lens_off_centre": Kind(
        _CAUTION,
        "the lens has its centre at {x:.6g}, {y:.6g} in a picture of {width} x {height}, off on both sides alike; it "
        "may be stated for a picture of another size",
        {"fov_degrees": "give {}"},
    ),
    "lens_of_other_shape": Kind(
        _CAUTION,
        "the lens is {ratio:.2f} times as long in y as in x in a picture of {width} x {height}; if the pixels are "
        "square, it is stated for a picture of another shape",
    ),
    "lens_of_other_size": Kind(
        _WARNING,
        "the lens has its centre at {x:.6g}, {y:.6g} in a picture of {width} x {height}; it is likely stated for a "
        "picture of another size, so scale it to this one",
        {"fov_degrees": "give {}"},
    ),
    "keys_rescaled": Kind(
        _INFO, "The path was drawn on {frames} frames and the clip has {clip}: its keys were rescaled in time."
    ),
    "other_aspect": Kind(
        _CAUTION,
        "The path was drawn on pictures of {width} x {height} and the clip has {clip_width} x {clip_height}: another "
        "part of the scene is in view.",
    ),
    "path_speed": Kind(_INFO, "The camera moves at most {scales:.2f} scene scales and {degrees:.0f} degrees a second."),
    "path_distance": Kind(
        _INFO, "It goes up to {scales:.2f} scene scales and {degrees:.0f} degrees away from the source camera."
    ),
    "path_coverage": Kind(_INFO, "{least:.0%} to {most:.0%} of the view has tracks."),
    "path_uncovered": Kind(_WARNING, "{span:span}: under {share:.0%} of the view has tracks{more:more}."),
    "path_jumps": Kind(_CAUTION, "{span:span}: the camera jumps by {scales:.1f} scene scales{more:more}."),
    "path_turns_at_once": Kind(_CAUTION, "{span:span}: the camera turns by {degrees:.0f} degrees at once{more:more}."),
    "path_fast": Kind(
        _CAUTION,
        "{span:span}: the camera moves at up to {scales:.1f} scene scales a second, which may smear{more:more}.",
    ),
    "path_turns_fast": Kind(
        _CAUTION, "{span:span}: the camera turns at up to {degrees:.0f} degrees a second, which may smear{more:more}."
    ),
    "path_turned_away": Kind(
        _CAUTION,
        "{span:span}: the view is turned up to {degrees:.0f} degrees away from the source, which shows little of what "
        "is there{more:more}.",
    ),
    "path_reveals": Kind(
        _CAUTION,
        "{span:span}: up to {share:.0%} of the view is not in the source at that moment and will be made up"
        "{more:more}.",
    ),
}

_TRACKS = {
    # what is wrong with the pictures
    "blind_frames": Kind(
        _CAUTION,
        "{span:span}: the picture shows next to nothing of the scene (black, a flash, or another picture cut in); "
        "points were followed across, and the camera there is taken from the frames around",
    ),
    "fade": Kind(
        _CAUTION,
        "{span:span}: the picture fades or flares; points were followed with its contrast evened out, and are less "
        "certain there",
    ),
    "dissolve": Kind(
        _WARNING,
        "{span:span}: one scene dissolves into another; the two were parted at frame {frame}, each with a camera of "
        "its own, and the mixed frames come out wrong: cut the clip before them or after",
    ),
    "combs_followed": Kind(
        _WARNING,
        "the pictures show the combs of interlaced video, two moments in one frame; points were followed in every "
        "second line, and the combs will be seen in the result: deinterlace the clip first",
    ),
    "bars": Kind(
        _CAUTION,
        "black bars ({above} px above, {below} below, {left} left, {right} right) are no part of the scene and were "
        "left out of tracking; crop the clip, or they move along in the new view",
    ),
    "overlay": Kind(
        _CAUTION,
        "{count:# point} stand still in the picture while the scene moves (subtitles, a logo, what rides with the "
        "camera), within {left} to {right} px across and {above} to {below} px down; they were left out, and what is "
        "burned in moves along in the new view: take a clip without it, or cut it off",
    ),
    # which camera
    "camera_given": Kind(_INFO, "camera path given, motion {motion}"),
    "motion": Kind(_INFO, "motion {motion} ({how})"),
    "few_followed": Kind(_CAUTION, "only {count:.0f} points a frame could be followed; the result is less certain"),
    "cuts": Kind(
        _CAUTION, "cut at frame {frames}; every shot was solved on its own, its camera starts at the origin again"
    ),
    "camera_solved": Kind(_INFO, "camera solved from {points} points, median error {error:.2f} px"),
    "camera_not_solved": Kind(_WARNING, "the camera could not be solved, so it was taken to stand still"),
    "little_parallax": Kind(
        _CAUTION, "too little parallax to solve a travelling camera; it was solved as one that only turns"
    ),
    "few_agree": Kind(
        _WARNING,
        "only {share:.0%} of the points fit one still scene, so the camera may follow something that moves",
        {"motion": "set {} by hand", "camera": "give the camera path in {} if you know it"},
    ),
    "frames_not_placed": Kind(_CAUTION, "{count:# frame} could not be placed and hold the nearest solved pose"),
    "short_travel": Kind(
        _CAUTION,
        "the camera travels only {share:.1%} of the scene's depth, so its path, field of view and depth by parallax "
        "are uncertain",
        {"depth": "give depth maps in {}", "fov_degrees": "give {}"},
    ),
    "turn_solved": Kind(_INFO, "turn of {degrees:.1f} degrees solved, median error {error:.2f} px"),
    "small_turn": Kind(
        _CAUTION,
        "so small a turn looks much like a travel by {share:.1%} of the scene's depth",
        {"motion": "set {} to general if the camera travels"},
    ),
    "proposed_left": Kind(
        _INFO, "the depth model's camera path was left aside, since the tracks show a camera that does not travel"
    ),
    "proposed_used": Kind(
        _INFO,
        "the depth model's camera path was used and refined; before, {share:.0%} of the points agree with it, median "
        "error {error:.2f} px",
    ),
    "proposed_denied": Kind(
        _CAUTION,
        "the depth model's camera path was not used: only {share:.0%} of the points agree with it, median error "
        "{error:.2f} px; it was solved from the tracks",
    ),
    "proposed_not_needed": Kind(
        _INFO,
        "the depth model's camera path was not needed: the tracks' own solution is as good; {share:.0%} of the points "
        "agree with it, median error {error:.2f} px",
    ),
    # which lens
    "fov_given": Kind(_INFO, "field of view {degrees:.1f} degrees given"),
    "fov_found": Kind(
        _INFO, "field of view {degrees:.1f} degrees found by {source} (+-{deviation:.1%} of the focal length)"
    ),
    "fov_of_depth_model": Kind(
        _INFO, "this motion does not show the field of view; {degrees:.1f} degrees are the depth model's"
    ),
    "fov_assumed": Kind(
        _CAUTION,
        "this motion does not show the field of view, so {degrees:.0f} degrees were assumed",
        {"fov_degrees": "give {} if you know it"},
    ),
    "zoom": Kind(_INFO, "the lens zooms: the focal length changes by a factor of {factor:.2f}"),
    # which depth
    "depth_aligned": Kind(_INFO, "depth maps aligned in inverse depth"),
    "depth_empty": Kind(
        _CAUTION, "the depth maps hold no positive finite depth at any tracked point and were not used"
    ),
    "depth_denied": Kind(
        _CAUTION, "no still scene fits both parallax and the depth maps, so the camera is parallax's alone"
    ),
    "depth_assumed": Kind(
        _CAUTION,
        "depth assumed: this camera does not travel, so nothing shows how far things are, and {count:# track} were put "
        "on a flat backdrop with what moves upright in front of it; small camera moves look right, large ones do not",
        {
            "depth": "give depth maps in {} for the true depth",
            "tracker": "use {}, which finds it",
            "tracks": "give {} that hold it",
        },
    ),
    "mover_depth_assumed": Kind(
        _CAUTION,
        "depth of moving things assumed: {count:# moving track} were placed by what stands under and around them, "
        "which errs where the picture cuts their feet",
        {
            "depth": "give depth maps in {} for their true depth",
            "tracker": "use {}, which finds it",
            "tracks": "give {} that hold it",
        },
    ),
    "standing_depth_error": Kind(
        _INFO,
        "expected error of the depth: {share:.1%} of standing points, by parallax; {poor:.0%} of them may err by over "
        "{limit:.0%}",
    ),
    "depth_uncertain": Kind(
        _CAUTION,
        "depth by parallax is poorly known: the points fit no still scene well (little texture, blur, or little "
        "travel)",
        {"depth": "give depth maps in {}", "tracker": "use {}"},
    ),
    "map_depth_error": Kind(
        _INFO,
        "expected error of the depth: {share:.1%} of {which} points in one frame, as far as the depth maps differ",
    ),
    # which tracks
    "tracks_kept": Kind(
        _INFO,
        "{count} tracks, {moving} of them moving and {standing} standing still; of {followed} points {doubtful} were "
        "lost at once or doubtful, and dropped",
    ),
    "few_on_movers": Kind(
        _CAUTION,
        "few points on what moves: only {count:# track} follow it, so its shape and way in the new view are uncertain",
        {"points": "raise {}"},
    ),
    "most_doubtful": Kind(
        _WARNING,
        "most points fit neither a standing nor a moving thing: blur, flat pictures, or a mover so large that the "
        "camera was solved from it; look at the preview",
        {"motion": "set {}", "camera": "give the camera path in {} if you know it"},
    ),
    "grid": Kind(_WARNING, "nothing could be followed, so {count} points were laid over the picture as a grid"),
    # 2D tracks, lifted
    "camera_stands": Kind(
        _CAUTION,
        "no camera path: the camera was taken to stand still and to see {degrees:.0f} degrees",
        {"camera": "give the path in {} if it moves", "fov_degrees": "give {} if you know it"},
    ),
    "tracks_lifted": Kind(_INFO, "{count} of {given} 2D tracks lifted, {moving} of them moving"),
    "samples_are_frames": Kind(_INFO, "{samples} points a track, one a frame"),
    "sample_held": Kind(_INFO, "one point a track, held"),
    "samples_of_ati": Kind(_INFO, "{samples} samples a track, taken as ATI takes them"),
    "samples_spread": Kind(_INFO, "{samples} points a track, spread evenly over {frames} frames"),
    # SpatialTrackerV2
    "spatial_tracker": Kind(_INFO, "SpatialTrackerV2, {variant}"),
    "spatial_tracker_fixed": Kind(_INFO, "SpatialTrackerV2, {variant}, the camera taken as fixed"),
    "pieces_joined": Kind(
        _INFO,
        "frames {first} to {last} joined over {count:# shared point}, which lie {share:.2%} of their depth apart "
        "(scale {scale:.3g})",
    ),
    "tracks_found": Kind(_INFO, "{count} tracks of {wanted} asked for, {visible:.0%} visible"),
    "few_certain": Kind(_CAUTION, "the tracker was certain of the depth at few places; sky and edges give no tracks"),
    "none_visible": Kind(_WARNING, "no track is visible in any frame"),
    "views_agree": Kind(_INFO, "3D and 2D tracks agree within {error:.2g} px"),
    "views_disagree": Kind(_WARNING, "3D and 2D tracks disagree; look at the preview before you render"),
    # tracks edited
    "tracks_left": Kind(_INFO, "{count} of {given} tracks kept"),
    "tracks_dropped": Kind(_INFO, "{rule} dropped {count}"),
    # a path that is drawn
    "path_stands": Kind(
        _INFO, "Neither point tracks nor a camera path is linked: the path starts from a camera that stands still."
    ),
    "path_unit": Kind(_INFO, "Without point tracks one scene scale is taken to be 1 of the path's units."),
    "path_not_used": Kind(_CAUTION, "The linked camera path is not used: the editor has keys of its own."),
    "path_resampled": Kind(
        _INFO, "The linked camera path has {frames} frames and the clip has {clip}: it was resampled in time."
    ),
    "path_of_base": Kind(_INFO, "Nothing is drawn yet: this is the base camera itself."),
    "path_of_link": Kind(_INFO, "Nothing is drawn yet: this is the linked camera path."),
}

_WAN = {
    "trained_for": Kind(
        _INFO,
        "{frames} frames of {width} x {height}; the bundle was trained on {trained_frames} of {trained_width} x "
        "{trained_height}",
    ),
    "size_differs": Kind(
        _INFO,
        "The model works at {width} x {height}, but was trained at {trained_width} x {trained_height}; expect less "
        "detail or drift at other sizes.",
    ),
    "size_far": Kind(
        _CAUTION,
        "The model works at {width} x {height}, far from the {trained_width} x {trained_height} it was trained at; "
        "expect less detail or drift, or prepare the clip nearer to that size.",
        {"size": "{} sets it"},
    ),
    "windows": Kind(
        _INFO, "{frames} frames run in {windows} overlapping, blended windows of {trained_frames} frames each."
    ),
    "sample_with": Kind(_INFO, "This bundle samples well with {steps} steps, cfg {guidance:g}, {scheduler}."),
    "shift_differs": Kind(
        _CAUTION,
        "The model's shift is {shift:g} and the bundle's {trained:g}: set it with ModelSamplingSD3, or the noise "
        "schedule is not the one of the training.",
    ),
    "prompt_unused": Kind(_CAUTION, "This model was trained without text: the prompt has no effect."),
    "guidance_unused": Kind(_CAUTION, "This model was trained without text: guidance has no effect."),
    "recammaster_path": Kind(
        _INFO,
        "The camera goes up to {metres:.2f} m and {degrees:.0f} degrees away from where the clip begins, if what the "
        "clip shows is {distance:g} m away.",
    ),
    "recammaster_size": Kind(
        _CAUTION,
        "{frames} frames of {width} x {height}; ReCamMaster was trained on {trained_frames} of {trained_width} x "
        "{trained_height} alone and holds the clip and the camera less at others.",
    ),
    "recammaster_other_model": Kind(
        _WARNING,
        "The MODEL's weights are not those of {file}, whose attention was trained together with the camera layers; "
        "load that file in Load Diffusion Model, too.",
    ),
    # memory
    "source_on_card": Kind(
        _INFO, "The source is computed once; {size:bytes} of it stay on the card, and the steps run the new view alone."
    ),
    "source_in_host_memory": Kind(
        _INFO,
        "The source is computed once; {size:bytes} of it wait in host memory, and the steps run the new view alone.",
    ),
    "source_nowhere": Kind(
        _CAUTION,
        "The source is computed in every step, which takes about twice as long: neither card nor host memory has room "
        "for the {size:bytes} of it that would be kept; a smaller size or fewer frames need less.",
    ),
    "plan_needs": Kind(
        _INFO, "The card should have {needed:bytes} free: the largest stage and {headroom:.0%} headroom."
    ),
    "card_free": Kind(_INFO, "The card has {free:bytes} free."),
    "card_unknown": Kind(_CAUTION, "This torch sees no card, so there is no verdict.", {"memory": "give {} for one"}),
    "host_needs": Kind(_INFO, "Host memory: about {peak:bytes}."),
    "fits": Kind(_INFO, "It fits as asked."),
    "fits_changed": Kind(
        _CAUTION, "The first setting that fits: {changes}; with it the card should have {needed:bytes} free."
    ),
    "nothing_fits": Kind(
        _WARNING,
        "Nothing fits: even with {changes} the card lacks {missing:bytes}; free memory on it, or take a smaller base "
        "or a larger card.",
    ),
    "plan_time": Kind(
        _INFO,
        "Time as asked on {device}, which multiplies matrices at {teraflops:.3g} TFLOP/s: about {step:time} a step and "
        "{total:time} in all ({low:time} to {high:time}), text encoder and transfers aside.",
    ),
}

_TARGET_VIEW = {
    "view_covered": Kind(
        _INFO, "{mean:.0%} of the new view is covered on average, least in frame {frame}: {lowest:.0%}"
    ),
    "depth_range": Kind(
        _INFO, "depth runs from {near:.3g} (white) to {far:.3g} (black) in the tracks' units, evenly in 1 / depth"
    ),
    "movers_share": Kind(_INFO, "what moves by itself covers {share:.0%} of the picture on average"),
    "vace_length": Kind(
        _CAUTION, "the clip has {frames:# frame}, and VACE takes 4n + 1: the mask for it is the holes as they are"
    ),
    "starts_elsewhere": Kind(
        _CAUTION, "the path does not start at the clip's own camera, so the model is shown no frame of the clip whole"
    ),
}

_COMPARISON = {
    "compared": Kind(_INFO, "{count} videos in step, {seconds:.2f} s at {rate} fps, each {width} x {height}"),
    "compared_sizes": Kind(_INFO, "of different size, shown equally large: {sizes}"),
    "compared_shapes": Kind(_INFO, "of another shape than {first}, shown whole with margins: {others}"),
    "compared_rates": Kind(
        _INFO, "of different rates, each in its own time, so that slower ones show frames longer: {rates} fps"
    ),
    "compared_to_longest": Kind(_INFO, "of different length, those that end hold their last frame: {lengths}"),
    "compared_to_shortest": Kind(_INFO, "of different length, cut to the shortest: {lengths}"),
    "compared_sound": Kind(_INFO, "the sound is that of {label}"),
}

_EVALUATION = {
    "prompt_cut": Kind(_CAUTION, "CLIP read only the beginning of the prompt"),
    "camera_not_measurable": Kind(_CAUTION, "camera not measurable: {reason}"),
    "camera_errors": Kind(
        _INFO, "RotErr {rotation:.2f} degrees, TransErr {translation:.1%} of the requested path's extent, on average"
    ),
    "camera_error_turning": Kind(
        _INFO, "RotErr {rotation:.2f} degrees on average; the requested path does not travel, so there is no TransErr"
    ),
    "camera_partly_measured": Kind(
        _CAUTION, "only {measured} of {frames} frames could be measured; the rest is not in the averages"
    ),
    "camera_found_still": Kind(
        _CAUTION,
        "the result shows no travel of its camera, though travel was asked for: it stands, turns only, or everything "
        "is too far away to tell",
    ),
    "camera_of_copy": Kind(
        _INFO, "a copy of the source would have RotErr {rotation:.2f} degrees: the size of the move"
    ),
    "camera_of_copy_travelling": Kind(
        _INFO,
        "a copy of the source would have RotErr {rotation:.2f} degrees and TransErr {translation:.1%}: the size of the "
        "move",
    ),
    "camera_not_followed": Kind(
        _CAUTION,
        "the camera did not do what was asked: its error is {share:.0%} of what a copy of the source would have",
    ),
}

_REFILM = {
    "tracks_count": Kind(_INFO, "{points:# point} over {frames:# frame}"),
    "path_move": Kind(_INFO, "{name}: {frames:# frame}"),
    "path_move_spread": Kind(_INFO, "{name}: {frames:# frame}, spread over the clip"),
    "camera_read": Kind(_INFO, "{name}: {frames:# frame} of {width} x {height}, {rate:g} a second"),
    "camera_resampled": Kind(_INFO, "resampled in time to the clip's {frames:# frame}"),
    "preset_move": Kind(_INFO, "{preset} {amount:g}: {move}"),
    "scene_scale": Kind(_INFO, "one scene scale is {scale:.4g} units of the tracks"),
    "subject_found": Kind(
        _INFO,
        "the subject is {what}, {distance:.4g} units away ({ratio:.2f} of the median depth)",
        {"subject": "point {} at something else if that is wrong"},
    ),
    "subject_given": Kind(
        _INFO,
        "the subject is the point {away:.0f} px from the place given, {distance:.4g} units away ({ratio:.2f} of the "
        "median depth)",
    ),
    "subject_median": Kind(_INFO, "the subject is at the median depth of the points, {distance:.4g} units away"),
    "sampling": Kind(
        _INFO,
        "{frames:# frame} of {width} x {height}, steps {steps}, guidance {guidance:g}, shift {shift:g}, seed {seed}",
    ),
    "geometry": Kind(_INFO, "depth for every pixel of {frames:# frame}; {moving:.0%} of the picture moves"),
    "mostly_moving": Kind(
        _CAUTION,
        "{share:.0%} of the picture moves, which leaves little that stands still to tell depth and holes by; look at "
        "the result before you go on",
    ),
    "pixels_kept": Kind(
        _INFO,
        "{mean:.0%} of the new view is the clip's own pixels, {lowest:.0%} in frame {frame}; the rest is filled from "
        "what is around it",
    ),
    "pixels_kept_over_model": Kind(
        _INFO,
        "{mean:.0%} of the new view is the clip's own pixels, {lowest:.0%} in frame {frame}; the model paints the rest",
    ),
    "little_known": Kind(
        _CAUTION, "much of the new view is not in the clip and was invented; a smaller move asks less"
    ),
    "coverage": Kind(
        _INFO, "{mean:.0%} of the target view's pixels lie among the {tracks} tracks, {lowest:.0%} in frame {frame}"
    ),
    "coverage_blind": Kind(
        _CAUTION, "in {blind} of {frames} frames they reach none of it: the new camera looks away there"
    ),
    "coverage_low": Kind(
        _CAUTION, "where no track reaches, the model invents; more points or a smaller camera move leave it less to do"
    ),
}

KINDS: Mapping[str, Kind] = {
    "text": Kind(_INFO, "{text}"),
    **_VIDEO,
    **_CAMERAS,
    **_TRACKS,
    **_WAN,
    **_TARGET_VIEW,
    **_COMPARISON,
    **_EVALUATION,
    **_REFILM,
}
"""Every note there is, by code. `text` is a sentence of a file that an older version wrote."""
