"""How things touch, the same in every export: friction and stiffness.

Friction: of two touching surfaces the larger coefficient counts, and supports are slick. So an object on a support slides
with its own value, which is what was estimated: this object on a table. MuJoCo and Newton take the larger by themselves;
the USD asks PhysX for it (`physxMaterial:frictionCombineMode = max`). A support's estimated friction stays in the scene
and in the USD's custom data.

Firmness: MuJoCo's contacts give way; as it ships them so far (0.2 mm and half a degree of lean) that a bottle on a foot of
18 mm tips two degrees before its footing says. With 98 % of the force that would stop a body at once instead of 90 %, it tips
where statics and PhysX, whose contacts are hard, say so, and leans less where it slides. A shorter time constant also
firms contacts, but at steps of 2 ms sliding bodies then rock.
"""

SUPPORT_FRICTION = 0.01
"""Of every support's collider: never the larger of two."""
SOLIMP = (0.98, 0.99, 0.001, 0.5, 2.0)
"""MuJoCo's `solimp` of every contact; its `solref` stays at (0.02 s, 1)."""
