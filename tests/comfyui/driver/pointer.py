"""A mouse and a keyboard on an open page, in CSS pixels of the page."""

from __future__ import annotations

from typing import Any

from .browser import Page

CODES = {" ": ("Space", 32), "Escape": ("Escape", 27), "Delete": ("Delete", 46), "ArrowRight": ("ArrowRight", 39)}
MODIFIERS = {"alt": 1, "ctrl": 2, "shift": 8}


class Pointer:
    def __init__(self, page: Page):
        self._page = page

    def move(self, x: float, y: float, **held: Any) -> None:
        self._mouse("mouseMoved", x, y, **held)

    def click(self, x: float, y: float, *, times: int = 1, button: str = "left") -> None:
        self.move(x, y)
        for count in range(1, times + 1):
            self._mouse("mousePressed", x, y, button=button, clickCount=count)
            self._mouse("mouseReleased", x, y, button=button, clickCount=count)

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], *, button: str = "left", keep: bool = False
    ) -> None:
        """Press, move in steps, let go; `keep` leaves the button pressed."""
        self.move(*start)
        self._mouse("mousePressed", *start, button=button, clickCount=1)
        buttons = {"left": 1, "right": 2, "middle": 4}[button]
        for step in range(1, 6):
            x, y = (a + (b - a) * step / 5 for a, b in zip(start, end, strict=True))
            self.move(x, y, button=button, buttons=buttons)
        if not keep:
            self.release(*end, button=button)

    def release(self, x: float, y: float, *, button: str = "left") -> None:
        self._mouse("mouseReleased", x, y, button=button, clickCount=1)

    def wheel(self, x: float, y: float, turn: float) -> None:
        self.move(x, y)
        self._mouse("mouseWheel", x, y, deltaX=0, deltaY=turn)

    def press(self, key: str, *modifiers: str) -> None:
        """One key, down and up; a letter or one of CODES."""
        code, number = CODES.get(key, (f"Key{key.upper()}" if key.isalpha() else "", ord(key[0].upper())))
        held = sum(MODIFIERS[name] for name in modifiers)
        stroke = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held}
        text = {"text": key} if len(key) == 1 and not held else {}
        self._page.call("Input.dispatchKeyEvent", type="keyDown", **stroke, **text)
        self._page.call("Input.dispatchKeyEvent", type="keyUp", **stroke)

    def _mouse(self, kind: str, x: float, y: float, **details: Any) -> None:
        self._page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **details)
