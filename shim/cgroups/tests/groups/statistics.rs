//! Figures, after something whose figures are known.

use coracle_cgroups::Statistics;

use crate::scratch::{Scratch, is_unified};

const MEBIBYTE: u64 = 1 << 20;

// The kernel counts in batches by processor, so figures are off by some of them.

#[test]
fn what_a_process_takes_is_counted() {
    let mut scratch = Scratch::made(r#"{"memory": {"limit": 134217728}, "pids": {"limit": 50}}"#);
    let mut member = scratch.member("allocate", "33554432");
    assert_eq!(member.answer(), "allocated 33554432");
    match scratch.cgroup.statistics().unwrap() {
        Statistics::V1(found) => {
            assert!(!is_unified());
            let memory = found.memory.unwrap();
            assert_eq!(memory.memory.limit, 128 * MEBIBYTE);
            assert!(
                (31..40).contains(&(memory.memory.usage / MEBIBYTE)),
                "{memory:?}"
            );
            assert!(
                (31..40).contains(&(memory.working_set() / MEBIBYTE)),
                "{memory:?}"
            );
            assert!(memory.counters.value("total_rss").unwrap() >= 31 * MEBIBYTE);
            assert_eq!(memory.kills, 0);
            let pids = found.pids.unwrap();
            assert_eq!((pids.current, pids.limit), (1, Some(50)));
            let cpu = found.cpu.unwrap();
            assert!(cpu.usage > 0);
            assert_eq!(cpu.by_processor.iter().sum::<u64>(), cpu.usage);
        }
        Statistics::V2(found) => {
            assert!(is_unified());
            let memory = found.memory.unwrap();
            assert_eq!(memory.limit, Some(128 * MEBIBYTE));
            assert!((31..40).contains(&(memory.usage / MEBIBYTE)), "{memory:?}");
            assert!(
                (31..40).contains(&(memory.working_set() / MEBIBYTE)),
                "{memory:?}"
            );
            assert!(memory.counters.value("anon").unwrap() >= 31 * MEBIBYTE);
            assert_eq!(memory.events.kills, 0);
            let pids = found.pids.unwrap();
            assert_eq!((pids.current, pids.limit), (1, Some(50)));
            assert!(found.cpu.usage > 0);
            assert!(found.cpu.usage >= found.cpu.user);
        }
    }
}

#[test]
fn throttling_is_counted() {
    let mut scratch = Scratch::made(r#"{"cpu": {"quota": 1000, "period": 10000}}"#);
    let mut member = scratch.member("spin", "100");
    assert_eq!(member.answer(), "spun");
    let (periods, throttled, time) = match scratch.cgroup.statistics().unwrap() {
        Statistics::V1(found) => {
            let cpu = found.cpu.unwrap();
            (cpu.periods, cpu.throttled_periods, cpu.throttled)
        }
        Statistics::V2(found) => (
            found.cpu.periods,
            found.cpu.throttled_periods,
            found.cpu.throttled,
        ),
    };
    assert!(
        periods >= throttled && throttled > 2 && time > 0,
        "{periods} {throttled} {time}"
    );
}

#[test]
fn a_group_that_is_gone_has_no_figures() {
    let scratch = Scratch::new();
    scratch.cgroup.statistics().unwrap_err();
}
