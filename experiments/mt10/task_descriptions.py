"""What the robot has to do in each of the ten tasks, in our own words: the text behind CARE's embeddings."""

from __future__ import annotations

TASK_DESCRIPTIONS: dict[str, str] = {
    "reach": "Bring the hand to a marked point in the air and keep it there; nothing is touched.",
    "push": "Shove a small cylinder across the table until it lies on the marked spot.",
    "pick-place": "Grip a small cylinder with the fingers, lift it off the table and carry it to a point in the air.",
    "door-open": "Hook the handle of a safe's door and swing the door outwards on its hinge.",
    "drawer-open": "Take hold of the handle of a cabinet's drawer and pull the drawer out towards the robot.",
    "drawer-close": "Press against the front of an open drawer and slide it back into the cabinet.",
    "button-press-topdown": "Come down from above on a large button and press it into its box.",
    "peg-insert-side": "Grip a long peg, line it up and slide its tip sideways into the hole of a block.",
    "window-open": "Push the handle of a sliding window to the right along its rail until the window is open.",
    "window-close": "Push the handle of a sliding window to the left along its rail until the window is shut.",
}
