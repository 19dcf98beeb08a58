"""NYUv2: semantic segmentation, depth and surface normals of indoor scenes."""
