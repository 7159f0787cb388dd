"""Inputs that are made once and tried at many doors."""
