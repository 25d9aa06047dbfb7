"""A report in one line: what is doubtful in a few words each, the worst first, then the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .notes import Note, Severity, told_by

MOST_DOUBTS = 3
"""More of them are counted, so that the line stays one."""

BRIEFS: Mapping[str, str] = {
    # clips
    "rate_assumed": "frame rate assumed",
    "times_senseless": "frame times make no sense",
    "times_missing": "no time stamps",
    "times_and_rate_missing": "frame rate assumed",
    "recordings_joined": "{count} recordings in one file",
    "beginning_lost": "beginning lost",
    "second_file_unread": "second file unread",
    "combs_found": "interlaced, unmarked",
    "laid_over_black": "transparent, laid over black",
    "turn_left_out": "odd turn left out",
    "sound_left_out": "sound left out",
    "sound_damaged": "sound damaged",
    # cameras
    "frames_filled": "missing frames filled in",
    "frames_joined": "missing frames joined",
    "quaternion_order_doubtful": "order of quaternions doubtful",
    "lens_in_shares": "lens doubtful",
    "lens_off_centre": "lens off centre",
    "lens_of_other_shape": "lens of another shape",
    "lens_of_other_size": "lens of another size",
    "other_aspect": "drawn on another shape",
    "path_distance": "up to {scales:.2f} scene scales and {degrees:.0f} degrees away",
    "path_uncovered": "view leaves the tracks",
    "path_jumps": "camera jumps",
    "path_turns_at_once": "camera turns at once",
    "path_fast": "fast move",
    "path_turns_fast": "fast turn",
    "path_turned_away": "turned away from the source",
    "path_reveals": "shows what the clip does not",
    "preset_move": "{move}",
    # tracks
    "blind_frames": "blind frames",
    "fade": "fades or flares",
    "dissolve": "dissolve between scenes",
    "combs_followed": "interlaced combs",
    "bars": "black bars",
    "overlay": "burned-in overlay",
    "few_followed": "few points followed",
    "cuts": "cuts",
    "camera_not_solved": "camera not solved",
    "little_parallax": "little parallax",
    "few_agree": "camera may follow a mover",
    "frames_not_placed": "frames not placed",
    "short_travel": "camera travels little",
    "small_turn": "turn or travel, unclear",
    "proposed_denied": "depth model's path denied",
    "fov_assumed": "field of view assumed",
    "depth_empty": "depth maps empty",
    "depth_denied": "depth maps denied",
    "depth_assumed": "depth assumed",
    "mover_depth_assumed": "depth of what moves assumed",
    "depth_uncertain": "depth uncertain",
    "few_on_movers": "few points on what moves",
    "tracks_kept": "{count} tracks, {moving} moving",
    "most_doubtful": "most points doubtful",
    "grid": "nothing followed",
    "camera_stands": "camera taken to stand",
    "tracks_lifted": "{count} tracks, {moving} moving",
    "tracks_found": "{count} tracks",
    "few_certain": "depth certain at few places",
    "none_visible": "no track visible",
    "views_disagree": "3D and 2D disagree",
    "tracks_left": "{count} of {given} tracks kept",
    "path_not_used": "linked path not used",
    "coverage": "{mean:.0%} of the new view among tracks",
    "coverage_blind": "looks away from all tracks",
    "coverage_low": "little of the view among tracks",
    # models
    "trained_for": "{frames} frames, {width} x {height}",
    "size_far": "far from the trained size",
    "sample_with": "{steps} steps, cfg {guidance:g}, {scheduler}",
    "shift_differs": "shift is not the bundle's",
    "sampling": "{steps} steps, guidance {guidance:g}, seed {seed}",
    "prompt_unused": "prompt has no effect",
    "guidance_unused": "guidance has no effect",
    "recammaster_path": "up to {metres:.2f} m and {degrees:.0f} degrees away",
    "recammaster_size": "not the trained size",
    "recammaster_other_model": "MODEL is of another file",
    "source_nowhere": "source computed in every step",
    "plan_needs": "{needed:bytes} needed",
    "card_free": "{free:bytes} free",
    "card_unknown": "no card seen",
    "fits": "fits as asked",
    "fits_changed": "fits with {changes}",
    "nothing_fits": "does not fit",
    # views
    "view_covered": "{mean:.0%} of the new view known",
    "pixels_kept": "{mean:.0%} the clip's own pixels",
    "pixels_kept_over_model": "{mean:.0%} the clip's own pixels",
    "little_known": "much of the view invented",
    "mostly_moving": "most of the picture moves",
    "movers_share": "{share:.0%} of the picture moves",
    "vace_length": "no length for VACE",
    "starts_elsewhere": "starts away from the clip's camera",
    "prompt_cut": "prompt cut",
    "camera_not_measurable": "camera not measurable",
    "camera_partly_measured": "{measured} of {frames} frames measured",
    "camera_found_still": "camera found still",
    "camera_not_followed": "camera did not follow",
    "camera_errors": "RotErr {rotation:.2f} degrees, TransErr {translation:.1%}",
    "camera_error_turning": "RotErr {rotation:.2f} degrees",
    "compared": "{count} videos in step, {seconds:.2f} s",
}
"""Of every note that is more than a plain fact, and of the facts that make a headline; over the facts of its text."""


def headline(notes: Iterable[Note], figures: str = "") -> str:
    """One line without a full stop: doubts, the worst first, then `figures`, or those of the plain facts.

    A note that another version wrote, and a plain sentence, is told by its severity alone.
    """
    notes = tuple(notes)
    doubts = sorted((note for note in notes if note.severity > Severity.INFO), key=lambda note: -note.severity)
    told = list(dict.fromkeys(filter(None, map(_brief, doubts))))
    more = len(told) - MOST_DOUBTS
    if more > 0:
        told[MOST_DOUBTS:] = [f"{more} more"]
    facts = [figures] if figures else [_brief(note) for note in notes if note.severity == Severity.INFO]
    if doubts and not told:
        told = ["to be looked at"]
    line = " · ".join(part for part in (*told, *facts) if part)
    return line[:1].upper() + line[1:]


def _brief(note: Note) -> str | None:
    return told_by(BRIEFS.get(note.code, ""), note.facts) if note.code in BRIEFS else None
