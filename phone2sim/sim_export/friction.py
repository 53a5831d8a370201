"""One rule of friction for every export: of two touching surfaces the larger coefficient counts, and supports are slick.

So an object on a support slides with its own value, which is what was estimated: this object on a table. MuJoCo and
Newton take the larger by themselves; the USD asks PhysX for it (`physxMaterial:frictionCombineMode = max`). A support's
estimated friction stays in the scene and in the USD's custom data.
"""

SUPPORT_FRICTION = 0.01
"""Of every support's collider: never the larger of two."""
