"""Modules with the names of other packages, mapped on this one."""
