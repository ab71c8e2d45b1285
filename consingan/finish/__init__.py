"""The finish: a generated layout is made anew of patches of the picture, coarse to fine.

A generator that was trained for a minute lays a picture out, but paints it badly. The finish keeps the layout and takes
every detail from the training picture, at any size that the picture has (after Granot et al., "Drop the GAN: In Defense
of Patches Nearest Neighbors as Single Image Generative Models", CVPR 2022). This room knows pictures and noise, and no
networks: ``scales`` (which sizes, without torch), ``photo`` (the picture at these sizes), ``search`` (which patch goes
where), ``vote`` (overlapping patches become pixels), ``patches`` (the way from coarse to fine), ``motion`` (the picture
set in motion), ``instant`` (layouts without training).
"""
