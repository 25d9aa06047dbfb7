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
COINCIDENT = 1e-9  # points nearer than this, and turns smaller than this, are one


def distance(a: Vector, b: Vector) -> float:
    """Euclidean distance, sqrt(x x + y y + z z) of the difference."""
    x, y, z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    return math.sqrt(x * x + y * y + z * z)


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
