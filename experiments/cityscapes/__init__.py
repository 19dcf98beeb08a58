"""Cityscapes: semantic segmentation and inverse depth of street scenes."""
