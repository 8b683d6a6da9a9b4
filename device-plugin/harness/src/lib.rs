//! The programs of device-plugin as pods carry them.
