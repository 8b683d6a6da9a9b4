//! One story, told once for every place where either side can stop.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use coracle_akri_protocol::{Answer, Answerer, Asker, Files as _, ProtocolError, Side};

use crate::model::{Gate, Model, User};
use crate::observer::Observer;
use crate::{ROOT, found, layout, request, round};

/// A disk whose user stops before the operation with the given number; after each operation somebody looks.
struct Fuse {
    model: Model,
    observer: Arc<Mutex<Observer>>,
    steps: Arc<AtomicUsize>,
    stop_at: usize,
}

impl Fuse {
    fn new(stop_at: usize) -> Self {
        Self {
            model: Model::new(ROOT),
            observer: Arc::default(),
            steps: Arc::default(),
            stop_at,
        }
    }

    /// A process that stops for good once the fuse blows.
    fn process(&self) -> User {
        let (model, observer) = (self.model.clone(), self.observer.clone());
        let (steps, stop_at) = (self.steps.clone(), self.stop_at);
        let stopped = Arc::new(Mutex::new(false));
        let gate: Gate = Arc::new(move || {
            observer.lock().unwrap().look(&model);
            let mut stopped = stopped.lock().unwrap();
            if *stopped || steps.fetch_add(1, Ordering::Relaxed) == stop_at {
                *stopped = true;
                return Err(io::Error::other("stopped"));
            }
            Ok(())
        });
        self.model.user(gate, 1)
    }
}

/// Lets a side act; when it is stopped, starts it anew and lets it act again.
fn act<T>(mut start_and_act: impl FnMut() -> Result<T, ProtocolError>) -> T {
    start_and_act()
        .or_else(|_stopped| start_and_act())
        .expect("the fuse blows once")
}

/// Asks, answers, changes, withdraws and asks again, with a crash at `stop_at`; says how many steps there were.
fn story(stop_at: usize) -> usize {
    let fuse = Fuse::new(stop_at);
    let mut generation = 0;
    // A new asker asks for all that is wanted; as the Agent asks a proxy that came back.
    let mut ask = |wanted: &[&str]| {
        act(|| {
            generation += 1;
            let mut asker = Asker::open(fuse.process(), layout(), &generation.to_string())?;
            for id in wanted {
                asker.ask(id, &request(id, generation))?;
            }
            asker.beat()?;
            Ok((asker, generation))
        })
    };
    let answer = |devices: u32| {
        act(|| {
            let mut handler = Answerer::open(fuse.process(), layout(), "handler")?;
            round(&mut handler, devices)
        });
    };
    let (asker, first) = ask(&["a", "b"]);
    answer(1);
    answer(2);
    for id in ["a", "b"] {
        let read = act(|| {
            asker
                .answer(id, first)
                .or_else(|_stopped| Ok(free(&fuse, id, first)))
        });
        assert_eq!(read.unwrap().outcome, found(&request(id, first), 2));
    }
    // A withdrawal that is stopped is finished by the asker that comes next.
    drop(asker.withdraw("a", first));
    let (asker, second) = ask(&["b", "a"]);
    answer(3);
    let a = act(|| {
        asker
            .answer("a", second)
            .or_else(|_stopped| Ok(free(&fuse, "a", second)))
    });
    assert_eq!(a.unwrap().outcome, found(&request("a", second), 3));
    finish(&fuse);
    fuse.steps.load(Ordering::Relaxed)
}

/// What an asker that came back reads, without taking the folder over.
fn free(fuse: &Fuse, id: &str, generation: u64) -> Option<Answer> {
    let bytes = fuse.model.free().read(&layout().answer(id)).unwrap();
    let answer: Answer = serde_json::from_slice(&bytes).unwrap();
    (answer.generation == generation).then_some(answer)
}

/// When all Configurations have gone, nothing is left but the signs of life.
fn finish(fuse: &Fuse) {
    let disk = fuse.model.free();
    Asker::open(disk.clone(), layout(), "last").unwrap();
    for folder in [layout().requests(), layout().removed()] {
        assert_eq!(disk.list(&folder).unwrap(), Vec::<String>::new());
    }
    assert!(disk.read(&layout().beat(Side::Answerer)).is_ok());
}

#[test]
fn a_crash_of_either_side_before_any_operation_and_any_byte_loses_nothing() {
    let steps = story(usize::MAX);
    assert!(steps > 500, "{steps} steps");
    for stop_at in 0..steps {
        story(stop_at);
    }
}
