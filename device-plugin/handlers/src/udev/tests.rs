//! Against a small sysfs of its own.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A sysfs with two cameras and a disk.
fn sysfs() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for (class, name, vendor) in [
        ("video4linux", "video0", "HD Webcam C270"),
        ("video4linux", "video1", "Integrated Camera"),
        ("block", "sda", "none"),
    ] {
        let device = path(&format!("devices/pci0/{class}/{name}"));
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(path(&format!("class/{class}"))).unwrap();
        fs::write(device.join("name"), format!("{vendor}\n")).unwrap();
        fs::write(device.join("uevent"), format!("MAJOR=81\nDEVNAME={name}\n")).unwrap();
        let target = format!("../../devices/pci0/{class}/{name}");
        symlink(target, path(&format!("class/{class}/{name}"))).unwrap();
    }
    root
}

fn ids(text: &str) -> Vec<String> {
    let root = sysfs();
    let handler = Udev::new(root.path());
    let query = handler.query(text, &Properties::new()).unwrap();
    let devices = handler.devices(&query).unwrap();
    devices.into_iter().map(|device| device.id).collect()
}

#[test]
fn a_device_has_its_path_its_node_and_its_permissions() {
    let root = sysfs();
    let handler = Udev::new(root.path());
    let text = "{subsystem: video4linux, properties: {DEVNAME: video0}, permissions: r}";
    let query = handler.query(text, &Properties::new()).unwrap();
    let properties = [
        ("UDEV_DEVPATH", "/devices/pci0/video4linux/video0"),
        ("UDEV_DEVNODE", "/dev/video0"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let expected = Device {
        id: "/devices/pci0/video4linux/video0".to_owned(),
        properties: properties.into(),
        mounts: Vec::new(),
        device_specs: vec![DeviceSpec {
            container_path: "/dev/video0".to_owned(),
            host_path: "/dev/video0".to_owned(),
            permissions: "r".to_owned(),
        }],
    };
    assert_eq!(handler.devices(&query).unwrap(), [expected]);
}

#[test]
fn subsystem_attributes_and_properties_all_filter() {
    let both = [
        "/devices/pci0/video4linux/video0",
        "/devices/pci0/video4linux/video1",
    ];
    assert_eq!(ids("subsystem: video4linux"), both);
    assert_eq!(
        ids("{subsystem: video4linux, attributes: {name: 'HD *'}}"),
        both[..1]
    );
    assert_eq!(
        ids("{subsystem: video4linux, properties: {DEVNAME: '*1'}}"),
        both[1..]
    );
    assert_eq!(
        ids("{subsystem: video4linux, attributes: {nosuch: '*'}}"),
        [""; 0]
    );
    assert_eq!(ids("subsystem: nosuch"), [""; 0]);
}

#[test]
fn what_cannot_be_in_sysfs_is_invalid() {
    let handler = Udev::new("/sys".as_ref());
    for text in [
        "subsystem: ../../etc",
        "{subsystem: block, attributes: {../size: '1'}}",
        "{subsystem: block, permissions: x}",
        "{subsystem: block, atributes: {}}",
    ] {
        assert!(handler.query(text, &Properties::new()).is_err(), "{text}");
    }
}

#[test]
fn a_sysfs_that_is_not_mounted_is_a_failure() {
    let handler = Udev::new("/nosuch/sys".as_ref());
    let query = handler
        .query("subsystem: block", &Properties::new())
        .unwrap();
    assert!(handler.devices(&query).is_err());
}
