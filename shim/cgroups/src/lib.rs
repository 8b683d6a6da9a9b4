//! Control groups of containers: versions 1 and 2, made by hand or by systemd.
