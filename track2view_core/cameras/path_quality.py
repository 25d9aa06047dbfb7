"""Is a path wise: how fast, how far from the source camera, how much of the view has tracks. Numbers, then words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note
from .path import CameraPath, checked_scene_scale
from .rotations import axis_angle_from_matrix

LOW_COVERAGE = 0.2  # share of target tokens; below it the model has little to hold on to
FAST = 2.0  # scene scales a second
FAST_TURN = 90.0  # degrees a second
FAR_TURN = 60.0  # degrees from the source's view
MUCH_REVEALED = 0.6  # share of the view
JUMP = 0.15  # scene scales between two frames
TURN_JUMP = 12.0  # degrees between two frames
OUTSTANDING = 4.0  # a jump is this many times the median step

WIDEST_LENS = 175.0  # degrees; no lens without distortion sees as much
MOST_STRETCHED = 1.25  # of pixels that are not square
FAR_CENTRE = 0.1  # of a side; so far from the middle on both sides alike no lens is shifted

_MOST_RUNS = 3  # warnings of one kind
_GAP = 2  # frames between two runs that are told as one


@dataclass(frozen=True, eq=False)
class PathChecks:
    """Figures of a path, one a frame, all `[T]` float64 on the CPU. What could not be known is None."""

    speed: Tensor  # scene scales a second, of the step to this frame; 0 on frame 0
    acceleration: Tensor  # scene scales a second squared, around this frame; 0 at the ends
    jerk: Tensor  # scene scales a second cubed; 0 at the ends
    angular_speed: Tensor  # degrees a second, of the step to this frame; 0 on frame 0
    step: Tensor  # scene scales since the frame before
    turn: Tensor  # degrees since the frame before
    angle_from_source: Tensor | None  # degrees between the two cameras' orientations
    distance_from_source: Tensor | None  # scene scales
    coverage: Tensor | None  # share of target tokens that tracks reach
    revealed: Tensor | None  # estimated share of the view that the source does not show at the same moment


def check_path(
    path: CameraPath,
    source: CameraPath | None = None,
    *,
    scene_scale: float,
    coverage: Tensor | None = None,  # [T] 0..1, PairedTracks.coverage()
    shown: Tensor | None = None,  # [T, N] bool, visible and inside in the source view
    inside: Tensor | None = None,  # [T, N] bool, inside the target view
    full_coverage: Tensor | float = 1.0,  # [T] or one number
) -> PathChecks:
    """The figures of a path.

    `revealed` needs coverage, shown and inside. Of the tokens that tracks reach, as large a share is taken to be shown
    by the source at that moment as of the tracks inside the target view; the rest is revealed. `full_coverage` is the
    coverage that counts as the whole view: that of the source's own view by the same tracks, so that few tracks do not
    pass for much revealed.

    Raises:
        Track2ViewError: a tensor whose frames are not the path's, or a scene scale that is not above 0.
    """
    scale = checked_scene_scale(scene_scale)
    frames = len(path)
    for name, given in (("source", source), ("coverage", coverage), ("shown", shown), ("inside", inside)):
        if given is not None and len(given) != frames:
            raise Track2ViewError(f"check_path got {len(given)} frames of {name}; the path has {frames}.")
    poses = path.world_from_camera.cpu()
    places = poses[:, :3, 3] / scale
    turned = axis_angle_from_matrix(poses[:-1, :3, :3].mT @ poses[1:, :3, :3]).norm(dim=-1).rad2deg()
    step, turn = _framed(places.diff(dim=0).norm(dim=-1), 1, 0), _framed(turned, 1, 0)
    away = apart = None
    if source is not None:
        theirs = source.world_from_camera.cpu()
        away = axis_angle_from_matrix(theirs[:, :3, :3].mT @ poses[:, :3, :3]).norm(dim=-1).rad2deg()
        apart = (poses[:, :3, 3] - theirs[:, :3, 3]).norm(dim=-1) / scale
    covered = None if coverage is None else coverage.detach().cpu().to(torch.float64)
    revealed = None
    if covered is not None and shown is not None and inside is not None:
        revealed = _revealed(covered, shown.cpu(), inside.cpu(), torch.as_tensor(full_coverage).cpu())
    return PathChecks(
        speed=step * path.fps,
        acceleration=_framed(places.diff(n=2, dim=0).norm(dim=-1) * path.fps**2, 1, 1)[:frames],
        jerk=_framed(places.diff(n=3, dim=0).norm(dim=-1) * path.fps**3, 1, 2)[:frames],
        angular_speed=turn * path.fps,
        step=step,
        turn=turn,
        angle_from_source=away,
        distance_from_source=apart,
        coverage=covered,
        revealed=revealed,
    )


def path_warnings(checks: PathChecks) -> tuple[Note, ...]:
    """What a user should know before a run, worst kind first, each with its frames (from 0).

    At most three of a kind are told; the last says how many more there are.
    """
    warnings: list[Note] = []
    if checks.coverage is not None:
        warnings += _told(checks.coverage < LOW_COVERAGE, "path_uncovered", lambda _: {"share": LOW_COVERAGE})
    for code, fact, steps, least in (
        ("path_jumps", "scales", checks.step, JUMP),
        ("path_turns_at_once", "degrees", checks.turn, TURN_JUMP),
    ):
        usual = steps[1:].median() if len(steps) > 1 else 0.0
        jumps = (steps > least) & (steps > OUTSTANDING * usual)
        warnings += _told(jumps, code, _largest(fact, steps), gap=0)
    calm = (checks.step <= JUMP) & (checks.turn <= TURN_JUMP)
    for code, fact, figures, limit in (
        ("path_fast", "scales", checks.speed, FAST),
        ("path_turns_fast", "degrees", checks.angular_speed, FAST_TURN),
    ):
        warnings += _told((figures > limit) & calm, code, _largest(fact, figures))
    if checks.angle_from_source is not None:
        away = checks.angle_from_source
        warnings += _told(away > FAR_TURN, "path_turned_away", _largest("degrees", away))
    if checks.revealed is not None:
        warnings += _told(checks.revealed > MUCH_REVEALED, "path_reveals", _largest("share", checks.revealed))
    return tuple(warnings)


def path_summary(checks: PathChecks) -> tuple[Note, ...]:
    """The path's largest figures."""
    told = [Note.of("path_speed", scales=checks.speed.max(), degrees=checks.angular_speed.max())]
    if checks.angle_from_source is not None and checks.distance_from_source is not None:
        away = {"scales": checks.distance_from_source.max(), "degrees": checks.angle_from_source.max()}
        told.append(Note.of("path_distance", **away))
    if checks.coverage is not None:
        told.append(Note.of("path_coverage", least=checks.coverage.min(), most=checks.coverage.max()))
    return tuple(told)


def _framed(figures: Tensor, before: int, after: int) -> Tensor:
    return torch.cat([figures.new_zeros(before), figures, figures.new_zeros(after)])


def _revealed(coverage: Tensor, shown: Tensor, inside: Tensor, full: Tensor) -> Tensor:
    here = inside.sum(dim=1)
    share = (inside & shown).sum(dim=1) / here.clamp(min=1)
    known = coverage * share / full.to(torch.float64).clamp(min=1e-6)
    return 1 - known.clamp(0, 1)


def _largest(fact: str, figures: Tensor) -> Callable[[slice], dict[str, Tensor]]:
    return lambda run: {fact: figures[run].max()}


def _told(wrong: Tensor, code: str, facts: Callable[[slice], dict], *, gap: int = _GAP) -> list[Note]:
    """One note a run of frames; `facts` gets the run's frames."""
    runs = _runs(wrong, gap)
    told = runs[:_MOST_RUNS]
    more = [0] * (len(told) - 1) + [len(runs) - len(told)]
    return [
        Note.of(code, span=(first, last), more=others, **facts(slice(first, last + 1)))
        for (first, last), others in zip(told, more[: len(told)], strict=True)
    ]


def _runs(wrong: Tensor, gap: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for frame in wrong.nonzero()[:, 0].tolist():
        if runs and frame - runs[-1][1] <= gap + 1 and gap:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def lens_notes(path: CameraPath) -> tuple[Note, ...]:
    """Whether the lens is likely stated for a picture of another size or shape, or in shares of its sides."""
    size = torch.tensor([path.width, path.height], dtype=torch.float64)
    focal = path.intrinsics[:, [0, 1], [0, 1]].cpu()
    centre = path.intrinsics[:, :2, 2].cpu()
    seen = torch.rad2deg(2 * torch.atan(size / 2 / focal)).amax(dim=-1)
    facts = {"width": path.width, "height": path.height}
    if (wide := seen > WIDEST_LENS).any():
        frame = int(wide.nonzero()[0])
        return (Note.of("lens_in_shares", focal=focal[frame].min(), degrees=seen[frame], **facts),)
    share = centre / size
    outside = ((share < 0) | (share > 1)).any(dim=-1)
    shifted = share - 0.5
    alike = (shifted[:, 0] - shifted[:, 1]).abs() < 0.2 * FAR_CENTRE
    alike = alike & (shifted.abs() > FAR_CENTRE).all(dim=-1)
    for code, wrong in (("lens_of_other_size", outside), ("lens_off_centre", alike)):
        if wrong.any():
            frame = int(wrong.nonzero()[0])
            return (Note.of(code, x=centre[frame, 0], y=centre[frame, 1], **facts),)
    ratio = focal[0, 1] / focal[0, 0]
    stretched = max(ratio, 1 / ratio) > MOST_STRETCHED
    return (Note.of("lens_of_other_shape", ratio=ratio, **facts),) if stretched else ()
