//! Each distribution and schema version, with what may happen to an installation on it.

mod fake;
mod matrix;

use fake::{Fake, Mood, SHIM};

use super::*;

#[test]
fn a_shim_that_changed_is_replaced_without_a_restart() {
    let fake = Fake::containerd();
    fake.install().unwrap();
    fake.offer(crate::binary::SHIM, "shim 2");
    let outcome = fake.install().unwrap();
    assert_eq!(
        (outcome.programs, outcome.configuration, outcome.restarted),
        (true, false, false)
    );
    assert_eq!(
        fake.read("/usr/local/bin/containerd-shim-coracle-v1"),
        "shim 2"
    );
}

#[test]
fn all_programs_of_the_payload_come_and_go_together() {
    let fake = Fake::containerd();
    let before = fake.snapshot();
    for helper in ["coracle-compile", "containerd-shim-coracle-runwasi-v1"] {
        fake.offer(helper, helper);
    }
    let there = |name: &str| fake.has(&format!("/usr/local/bin/{name}"));
    fake.install().unwrap();
    assert_eq!(
        fake.read("/usr/local/bin/coracle-compile"),
        "coracle-compile"
    );
    assert!(there("containerd-shim-coracle-runwasi-v1") && there(crate::binary::SHIM));

    fs::remove_file(fake.on_node("/usr/local/bin/coracle-compile")).unwrap();
    let status = fake.installer().status(None).unwrap();
    assert!(!status.ready);
    let table = status.table();
    assert!(
        table.contains("program        /usr/local/bin/coracle-compile (missing)\n"),
        "{table}"
    );
    assert!(fake.install().unwrap().programs);

    fake.withdraw("coracle-compile");
    assert_eq!(fake.install().unwrap(), Outcome::default());
    assert!(there("coracle-compile"), "a pod that runs may need it");
    fake.installer().uninstall(false).unwrap();
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn no_program_stays_where_the_installation_is_undone() {
    let fake = Fake::containerd();
    fake.offer("coracle-compile", "c");
    fake.host.mood.set(Mood::Ignores);
    let before = fake.snapshot();
    fake.install().unwrap_err();
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn uninstalling_is_refused_while_pods_run() {
    let fake = Fake::containerd();
    fake.install().unwrap();
    fake.host.pods.set(1);
    let refused = fake.installer().uninstall(false).unwrap_err().to_string();
    assert!(refused.contains("(shims: 4711)"), "{refused}");
    assert!(fake.has("/usr/local/bin/containerd-shim-coracle-v1"));
    assert!(fake.installer().uninstall(true).unwrap());
    assert!(!fake.has("/usr/local/bin/containerd-shim-coracle-v1"));
}

#[test]
fn what_an_operator_changed_after_the_installation_stays() {
    let fake = Fake::containerd();
    fake.install().unwrap();
    let edited = fake.read(plan::MAIN).replace("pause:9", "pause:10");
    fake.write(plan::MAIN, &edited);
    assert!(!fake.install().unwrap().configuration);
    fake.installer().uninstall(false).unwrap();
    assert_eq!(
        fake.read(plan::MAIN),
        fake::CONFIG_V2.replace("pause:9", "pause:10")
    );
}

#[test]
fn a_configuration_that_was_written_anew_is_edited_anew_and_restored_as_it_is_now() {
    let fake = Fake::containerd();
    fake.install().unwrap();
    let anew = fake::CONFIG_V2.replace("pause:9", "pause:11");
    fake.write(plan::MAIN, &anew);
    assert!(fake.install().unwrap().restarted);
    fake.installer().uninstall(false).unwrap();
    assert_eq!(fake.read(plan::MAIN), anew);
}

#[test]
fn an_entry_that_the_running_containerd_has_not_loaded_makes_it_restart() {
    let fake = Fake::containerd();
    fake.install().unwrap();
    fake.host.loaded.set(false);
    let outcome = fake.install().unwrap();
    assert!(outcome.restarted && !outcome.configuration);
}

#[test]
fn a_configuration_that_containerd_refuses_is_never_written() {
    let fake = Fake::containerd();
    fake.host.mood.set(Mood::Refuses);
    let before = fake.snapshot();
    let refused = fake.install().unwrap_err().to_string();
    assert!(refused.ends_with("nothing was changed"), "{refused}");
    assert_eq!(fake.snapshot(), before);
    assert_eq!(fake.host.restarts.get(), 0);
}

#[test]
fn a_handler_that_is_not_loaded_is_told_with_those_that_are() {
    let fake = Fake::containerd();
    fake.host.mood.set(Mood::Ignores);
    let before = fake.snapshot();
    let refused = anyhow::Error::from(fake.install().unwrap_err());
    assert_eq!(
        format!("{refused:#}"),
        "not installed; every file is as it was, and containerd runs as before: containerd runs without handler \
         `coracle`; loaded: runc"
    );
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_containerd_that_stays_down_even_so_is_told() {
    let fake = Fake::containerd();
    fake.host.mood.set(Mood::Dead);
    let before = fake.snapshot();
    let refused = fake.install().unwrap_err();
    assert!(
        matches!(refused, InstallError::StillDown { .. }),
        "{refused}"
    );
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn declared_and_found_have_to_agree() {
    let mut fake = Fake::containerd();
    fake.settings.distribution = Some(Distribution::K3s);
    let refused = fake.install().unwrap_err().to_string();
    assert_eq!(
        refused,
        "--distribution is k3s, but the node has containerd"
    );
}

#[test]
fn two_distributions_on_one_node_ask_for_a_declaration() {
    let fake = Fake::containerd();
    fake.write("/var/lib/rancher/k3s/agent/x", "");
    fake.write("/etc/k0s/x", "");
    let refused = fake.install().unwrap_err().to_string();
    assert_eq!(
        refused,
        "the node has k3s and k0s; say which one with --distribution"
    );
}

#[test]
fn talos_is_told_what_to_do() {
    let fake = Fake::empty();
    fake.write("/etc/os-release", "NAME=\"Talos\"\nID=talos\n");
    let refused = fake.install().unwrap_err().to_string();
    assert!(refused.contains("CRICustomizationConfig"), "{refused}");
    assert!(
        refused.contains("[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.coracle]"),
        "{refused}"
    );
}

#[test]
fn a_node_without_containerd_is_told_what_was_looked_for() {
    let refused = Fake::empty().install().unwrap_err().to_string();
    assert!(refused.contains("/usr/bin/containerd"), "{refused}");
}

#[test]
fn a_folder_for_the_shim_that_is_not_on_the_path_is_named_in_the_entry() {
    let mut fake = Fake::containerd();
    fake.settings.bin_dir = Some("/srv/bin".into());
    fake.install().unwrap();
    assert_eq!(
        fake.read(&format!("/srv/bin/{}", crate::binary::SHIM)),
        SHIM
    );
    assert!(
        fake.read(plan::MAIN)
            .contains("runtime_path = \"/srv/bin/containerd-shim-coracle-v1\"")
    );
    fake.installer().uninstall(false).unwrap();
    assert!(!fake.has("/srv"));
}

#[test]
fn the_table_says_what_an_installation_would_do() {
    let fake = Fake::containerd();
    let before = fake.installer().status(Some(&fake.payload())).unwrap();
    assert!(!before.ready);
    assert!(
        before
            .table()
            .contains("configuration  /etc/containerd/config.toml (main file, to be written)\n")
    );
    fake.install().unwrap();
    let after = fake.installer().status(Some(&fake.payload())).unwrap();
    assert!(after.ready, "{}", after.table());
    assert!(
        after
            .table()
            .contains("handler        loaded (all: coracle, runc)\n")
    );
}
