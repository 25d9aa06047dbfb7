"""Vectors, quaternions and the curves through them in plain floats, one operation at a time.

The browser's editor repeats these functions line by line in JavaScript and must get the same numbers, so nothing here
uses more than + - * /, square root, sin, cos and atan2 of 64-bit floats, in the order written. Vectors are (x, y, z),
quaternions (w, x, y, z) of unit length, angles in radians.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
ZERO: Vector = (0.0, 0.0, 0.0)
COINCIDENT = 1e-9  # points nearer than this, and turns smaller than this, are one


def distance(a: Vector, b: Vector) -> float:
    """Euclidean distance, sqrt(x x + y y + z z) of the difference."""
    x, y, z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    return math.sqrt(x * x + y * y + z * z)


def length(v: Vector) -> float:
    return math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


def difference(a: Vector, b: Vector) -> Vector:
    """From a to b."""
    return (b[0] - a[0], b[1] - a[1], b[2] - a[2])


def times(v: Vector, factor: float) -> Vector:
    return (v[0] * factor, v[1] * factor, v[2] * factor)


def blend(a: float, b: float, share: float) -> float:
    """a (1 - share) + b share: a at 0 and b at 1, both exactly."""
    return a * (1 - share) + b * share


def blend_vectors(a: Vector, b: Vector, share: float) -> Vector:
    return (blend(a[0], b[0], share), blend(a[1], b[1], share), blend(a[2], b[2], share))


def catmull_rom(before: Vector | None, start: Vector, end: Vector, after: Vector | None, share: float) -> Vector:
    """The centripetal Catmull-Rom curve (alpha 0.5) from `start` (share 0) to `end` (share 1).

    With d = |end - start|: below 1e-9 the answer is blend_vectors(start, end, share). A neighbour that is None or
    nearer than 1e-9 to its end of the segment is replaced by the reflection of the other end: before = 2 start - end,
    after = 2 end - start. Knot intervals are k0 = sqrt(|start - before|), k1 = sqrt(d), k2 = sqrt(|after - end|).
    Tangents, per component, already times k1:

        m1 = k1 ((start - before) / k0 - (end - before) / (k0 + k1) + (end - start) / k1)
        m2 = k1 ((end - start) / k1 - (after - start) / (k1 + k2) + (after - end) / k2)

    and with s = share, s2 = s s, s3 = s2 s the curve is Hermite's:

        (2 s3 - 3 s2 + 1) start + (s3 - 2 s2 + s) m1 + (3 s2 - 2 s3) end + (s3 - s2) m2
    """
    length = distance(start, end)
    if length < COINCIDENT:
        return blend_vectors(start, end, share)
    if before is None or distance(before, start) < COINCIDENT:
        before = (2 * start[0] - end[0], 2 * start[1] - end[1], 2 * start[2] - end[2])
    if after is None or distance(end, after) < COINCIDENT:
        after = (2 * end[0] - start[0], 2 * end[1] - start[1], 2 * end[2] - start[2])
    k0, k1, k2 = math.sqrt(distance(before, start)), math.sqrt(length), math.sqrt(distance(end, after))
    s2 = share * share
    s3 = s2 * share
    curve = []
    for p0, p1, p2, p3 in zip(before, start, end, after, strict=True):
        m1 = k1 * ((p1 - p0) / k0 - (p2 - p0) / (k0 + k1) + (p2 - p1) / k1)
        m2 = k1 * ((p2 - p1) / k1 - (p3 - p1) / (k1 + k2) + (p3 - p2) / k2)
        curve.append((2 * s3 - 3 * s2 + 1) * p1 + (s3 - 2 * s2 + share) * m1 + (3 * s2 - 2 * s3) * p2 + (s3 - s2) * m2)
    return (curve[0], curve[1], curve[2])


def hermite(start: Vector, end: Vector, leaving: Vector, arriving: Vector, share: float) -> Vector:
    """The cubic from `start` to `end` that leaves and arrives with these slopes, which are per share of the segment:

    (2 s3 - 3 s2 + 1) start + (s3 - 2 s2 + s) leaving + (3 s2 - 2 s3) end + (s3 - s2) arriving.
    """
    s2 = share * share
    s3 = s2 * share
    a, b, c, d = 2 * s3 - 3 * s2 + 1, s3 - 2 * s2 + share, 3 * s2 - 2 * s3, s3 - s2
    return (
        a * start[0] + b * leaving[0] + c * end[0] + d * arriving[0],
        a * start[1] + b * leaving[1] + c * end[1] + d * arriving[1],
        a * start[2] + b * leaving[2] + c * end[2] + d * arriving[2],
    )


def passing(before: Vector, after: Vector, time_before: float, time_after: float) -> tuple[Vector, Vector]:
    """The slopes with which a curve passes a point, per share of the segment before it and of the one after it.

    `before` and `after` are the ways to and from the point, `time_before` and `time_after` how long they take. With
    a = |before|, b = |after|, r and q the shares of the two times, the speed is the weighted harmonic mean of the two
    (Fritsch and Butland 1984, as in PCHIP), in units of the whole time 3 / ((2 q + r) r / a + (q + 2 r) q / b), and the
    direction half the sum of the two unit vectors. On a line that is monotone: no overshoot, a rest only where the way
    turns back or where a or b is 0. Round a corner the curve goes on.
    """
    a, b = length(before), length(after)
    if a == 0 or b == 0:
        return ZERO, ZERO
    whole = time_before + time_after
    r, q = time_before / whole, time_after / whole
    speed = 3 / ((2 * q + r) * r / a + (q + 2 * r) * q / b)
    half = (
        (before[0] / a + after[0] / b) / 2,
        (before[1] / a + after[1] / b) / 2,
        (before[2] / a + after[2] / b) / 2,
    )
    return times(half, speed * r), times(half, speed * q)


def joining(other: Vector, own: Vector, time_other: float, time_own: float, factor: float) -> Vector:
    """The slope, per share of its own segment, with which a curve takes over the speed of a neighbour that is given.

    The neighbour's way `other` in `time_other`, `factor` times its mean speed, by (1 + cos) / 2 of the angle between
    the two ways, and no more than 3 |own|, up to which a cubic does not overshoot.
    """
    a, b = length(other), length(own)
    if a == 0 or b == 0 or factor == 0:
        return ZERO
    share = (1 + (other[0] * own[0] + other[1] * own[1] + other[2] * own[2]) / (a * b)) / 2
    return times(other, min(factor * share * a * (time_own / time_other), 3 * b) / a)


def limited(slope: Vector, most: float) -> Vector:
    size = length(slope)
    return slope if size <= most else times(slope, most / size)


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton's product a b: the turn b first, then a."""
    return (
        a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
        a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
        a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
        a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
    )


def conjugate(q: Quaternion) -> Quaternion:
    return (q[0], -q[1], -q[2], -q[3])


def negated(q: Quaternion) -> Quaternion:
    return (-q[0], -q[1], -q[2], -q[3])


def dot(a: Quaternion, b: Quaternion) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]


def normalised(q: Quaternion) -> Quaternion:
    """q divided by its length; the length is never 0 here."""
    length = math.sqrt(dot(q, q))
    return (q[0] / length, q[1] / length, q[2] / length, q[3] / length)


def logarithm(q: Quaternion) -> Vector:
    """(x, y, z) times atan2(n, w) / n with n = |(x, y, z)|; below n = 1e-9, (x, y, z) itself.

    Its inverse is `exponential` where w is not below 0, as it is between keys whose signs were chosen so.
    """
    n = math.sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    factor = math.atan2(n, q[0]) / n if n >= COINCIDENT else 1.0
    return (q[1] * factor, q[2] * factor, q[3] * factor)


def exponential(v: Vector) -> Quaternion:
    """(cos n, v sin(n) / n) with n = |v|; below n = 1e-9, sin(n) / n is 1."""
    n = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    factor = math.sin(n) / n if n >= COINCIDENT else 1.0
    return (math.cos(n), v[0] * factor, v[1] * factor, v[2] * factor)


def great_arc(a: Quaternion, b: Quaternion, share: float) -> Quaternion:
    """Spherical interpolation from a to b without choosing a sign, normalised.

    The angle is theta = 2 atan2(|a - b|, |a + b|). Weights are sin((1 - share) theta) / sin(theta) and
    sin(share theta) / sin(theta); below theta = 1e-9 they are 1 - share and share, and above pi - 1e-9, where the arc
    has no direction, they are 1 and 0.
    """
    minus = (a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3])
    plus = (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])
    theta = 2 * math.atan2(math.sqrt(dot(minus, minus)), math.sqrt(dot(plus, plus)))
    if theta < COINCIDENT:
        wa, wb = 1 - share, share
    elif theta > math.pi - COINCIDENT:
        wa, wb = 1.0, 0.0
    else:
        wa, wb = math.sin((1 - share) * theta) / math.sin(theta), math.sin(share * theta) / math.sin(theta)
    return normalised(
        (a[0] * wa + b[0] * wb, a[1] * wa + b[1] * wb, a[2] * wa + b[2] * wb, a[3] * wa + b[3] * wb),
    )


def inner_quaternion(before: Quaternion, here: Quaternion, after: Quaternion) -> Quaternion:
    """Shoemake's control point: here exp(-(log(here* after) + log(here* before)) / 4), * the conjugate."""
    ahead, back = logarithm(product(conjugate(here), after)), logarithm(product(conjugate(here), before))
    quarter = (-(ahead[0] + back[0]) / 4, -(ahead[1] + back[1]) / 4, -(ahead[2] + back[2]) / 4)
    return product(here, exponential(quarter))


def squad(a: Quaternion, b: Quaternion, inner_a: Quaternion, inner_b: Quaternion, share: float) -> Quaternion:
    """great_arc(great_arc(a, b, s), great_arc(inner_a, inner_b, s), 2 s (1 - s))."""
    return great_arc(great_arc(a, b, share), great_arc(inner_a, inner_b, share), 2 * share * (1 - share))


def turning(start: Quaternion, end: Quaternion, leaving: Vector, arriving: Vector, share: float) -> Quaternion:
    """The cubic turn from `start` to `end` that leaves and arrives with these slopes: half rotation vectors in the
    camera's own axes, per share of the segment (Kim, Kim and Shin 1995).

    start exp(u b1) exp(v b2) exp(w b3) with u = leaving / 3, w = arriving / 3, v = log(exp(-u) start* end exp(-w)),
    b1 = 1 - (1 - s)^3, b2 = 3 s^2 - 2 s^3, b3 = s^3.
    """
    s2 = share * share
    s3 = s2 * share
    rest = 1 - share
    u, w = times(leaving, 1 / 3), times(arriving, 1 / 3)
    between = product(product(exponential(times(u, -1)), product(conjugate(start), end)), exponential(times(w, -1)))
    v = logarithm(between)
    turned = product(start, exponential(times(u, 1 - rest * rest * rest)))
    turned = product(turned, exponential(times(v, 3 * s2 - 2 * s3)))
    return normalised(product(turned, exponential(times(w, s3))))


def aim(position: Vector, target: Vector) -> Quaternion | None:
    """The turn that points z from `position` at `target` and keeps x level (no y); None where the two are one.

    With (x, y, z) = target - position, h = sqrt(x x + z z): nearer than 1e-9 there is no answer. Yaw is atan2(x, z),
    pitch is atan2(-y, h), and below h = 1e-9, straight up or down, yaw is 0. With half angles the answer is
    (cos yaw cos pitch, cos yaw sin pitch, sin yaw cos pitch, -sin yaw sin pitch).
    """
    x, y, z = target[0] - position[0], target[1] - position[1], target[2] - position[2]
    if math.sqrt(x * x + y * y + z * z) < COINCIDENT:
        return None
    level = math.sqrt(x * x + z * z)
    yaw = (math.atan2(x, z) if level >= COINCIDENT else 0.0) / 2
    pitch = math.atan2(-y, level) / 2
    return (
        math.cos(yaw) * math.cos(pitch),
        math.cos(yaw) * math.sin(pitch),
        math.sin(yaw) * math.cos(pitch),
        -math.sin(yaw) * math.sin(pitch),
    )


def framed(place: Vector, toward: Vector) -> Quaternion:
    """The turn, level as `aim` is, of a camera that shows what lies `toward` it at the pixel where a camera that is not
    turned shows `place`; neither is 0.

    With (x, y, z) = place / |place|, s = toward / |toward| and r = sqrt(y y + z z): the pitch is
    atan2(y, z) - asin(s_y / r), held to what there is, and the yaw atan2(s_x, s_z) - atan2(x, sqrt(r r - s_y s_y)).
    Before a place straight ahead this is `aim`.
    """
    a, b = length(place), length(toward)
    x, y, z = place[0] / a, place[1] / a, place[2] / a
    level = math.sqrt(y * y + z * z)
    down = min(max(toward[1] / b, -level), level)
    ahead = math.sqrt(level * level - down * down)
    pitch = (math.atan2(y, z) - math.atan2(down, ahead)) / 2
    yaw = (math.atan2(toward[0], toward[2]) - math.atan2(x, ahead)) / 2
    return (
        math.cos(yaw) * math.cos(pitch),
        math.cos(yaw) * math.sin(pitch),
        math.sin(yaw) * math.cos(pitch),
        -math.sin(yaw) * math.sin(pitch),
    )


def rolled(q: Quaternion, degrees: float) -> Quaternion:
    """q followed by a turn about its own z: product(q, (cos r, 0, 0, sin r)) with r = degrees pi / 360."""
    half = degrees * math.pi / 360
    return product(q, (math.cos(half), 0.0, 0.0, math.sin(half)))


def orbit_offset(azimuth: float, elevation: float, reach: float) -> Vector:
    """From the target to the camera: reach (sin a cos e, -sin e, -cos a cos e), radians."""
    return (
        reach * math.sin(azimuth) * math.cos(elevation),
        reach * -math.sin(elevation),
        reach * -math.cos(azimuth) * math.cos(elevation),
    )


def orbit_slope(azimuth: float, elevation: float, reach: float, slope: Vector) -> Vector:
    """How fast azimuth, elevation and reach change where the camera of an orbit moves with `slope`; the inverse of
    `offset_slope`. Straight above its target the azimuth has no answer; documents stop before."""
    x, y, z = slope
    along = x * math.sin(azimuth) - z * math.cos(azimuth)  # away from the target, as seen from above
    across = x * math.cos(azimuth) + z * math.sin(azimuth)
    return (
        across / (reach * math.cos(elevation)),
        -(along * math.sin(elevation) + y * math.cos(elevation)) / reach,
        along * math.cos(elevation) - y * math.sin(elevation),
    )


def offset_slope(azimuth: float, elevation: float, reach: float, slope: Vector) -> Vector:
    """How fast `orbit_offset` moves where azimuth, elevation and reach change with `slope`."""
    along = slope[2] * math.cos(elevation) - reach * slope[1] * math.sin(elevation)
    across = reach * slope[0] * math.cos(elevation)
    return (
        along * math.sin(azimuth) + across * math.cos(azimuth),
        -slope[2] * math.sin(elevation) - reach * slope[1] * math.cos(elevation),
        across * math.sin(azimuth) - along * math.cos(azimuth),
    )
