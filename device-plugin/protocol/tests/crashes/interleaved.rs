//! Both sides at once: between any two operations of one, the other does whole turns or dies in the middle of one.
//!
//! One thread plays both, so a story is the same each time it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use coracle_akri_protocol::{Answerer, Asker, Files, ProtocolError};
use proptest::prelude::{Strategy, prop_oneof};
use proptest::proptest;

use crate::model::{Gate, Model, User};
use crate::observer::Observer;
use crate::{ROOT, found, layout, request, round};

const IDS: [&str; 3] = ["a", "b", "c"];

/// What happens before the next operation of the side that is in the middle of its turn.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Nothing.
    Step,
    /// It is killed, and started again.
    Kill,
    /// The other side takes its turn, and is killed after this many operations.
    Other(usize),
    /// The devices change.
    Change,
    /// A Configuration comes or goes.
    Toggle(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => proptest::strategy::Just(Event::Step),
        1 => proptest::strategy::Just(Event::Kill),
        2 => proptest::strategy::Just(Event::Other(usize::MAX)),
        2 => (0..60_usize).prop_map(Event::Other),
        1 => proptest::strategy::Just(Event::Change),
        2 => (0..IDS.len()).prop_map(Event::Toggle),
    ];
    proptest::collection::vec(event, 0..400)
}

/// What both sides are to do, from the outside.
#[derive(Default)]
struct World {
    wanted: [bool; IDS.len()],
    devices: u32,
    generations: u64,
}

/// One side, over all its lives.
trait Role {
    /// One turn; the first of a life starts the side.
    fn turn(&mut self, world: &Mutex<World>, files: &User) -> Result<(), ProtocolError>;
    /// The side is gone, with all it knew.
    fn forget(&mut self);
}

#[derive(Default)]
struct Proxy {
    life: Option<(Asker<User>, BTreeMap<&'static str, u64>)>,
}

impl Role for Proxy {
    /// Makes the requests equal to what is wanted.
    fn turn(&mut self, world: &Mutex<World>, files: &User) -> Result<(), ProtocolError> {
        let next = || {
            let mut world = world.lock().unwrap();
            world.generations += 1;
            world.generations
        };
        let (mut asker, mut asked) = match self.life.take() {
            Some(life) => life,
            None => {
                let start = next().to_string();
                (
                    Asker::open(files.clone(), layout(), &start)?,
                    BTreeMap::new(),
                )
            }
        };
        let wanted = world.lock().unwrap().wanted;
        for (id, wanted) in IDS.into_iter().zip(wanted) {
            match (wanted, asked.get(id).copied()) {
                (true, None) => {
                    let generation = next();
                    asker.ask(id, &request(id, generation))?;
                    asked.insert(id, generation);
                }
                (false, Some(generation)) => {
                    asker.withdraw(id, generation)?;
                    asked.remove(id);
                }
                (true, Some(generation)) => drop(asker.answer(id, generation)?),
                (false, None) => {}
            }
        }
        asker.sweep()?;
        asker.beat()?;
        self.life = Some((asker, asked));
        Ok(())
    }

    fn forget(&mut self) {
        self.life = None;
    }
}

#[derive(Default)]
struct Handler {
    life: Option<Answerer<User>>,
}

impl Role for Handler {
    fn turn(&mut self, world: &Mutex<World>, files: &User) -> Result<(), ProtocolError> {
        let mut handler = match self.life.take() {
            Some(handler) => handler,
            None => Answerer::open(files.clone(), layout(), "handler")?,
        };
        let devices = world.lock().unwrap().devices;
        round(&mut handler, devices)?;
        self.life = Some(handler);
        Ok(())
    }

    fn forget(&mut self) {
        self.life = None;
    }
}

/// Takes a turn, after which a side that was stopped is gone; any other failure is one of the protocol.
fn take_turn(role: &mut dyn Role, world: &Mutex<World>, files: &User) {
    match role.turn(world, files) {
        Ok(()) => {}
        Err(ProtocolError::Io { source, .. }) if source.to_string() == "killed" => role.forget(),
        Err(error) => panic!("{error:?}"),
    }
}

/// The side that takes whole turns, and how many operations it has left before it is killed.
struct Other<R> {
    role: Mutex<R>,
    left: Arc<AtomicUsize>,
    files: User,
}

impl<R: Role> Other<R> {
    fn new(role: R, model: &Model) -> Self {
        let left = Arc::new(AtomicUsize::new(0));
        let budget = left.clone();
        let spend = move |left: usize| left.checked_sub(1);
        let gate: Gate = Arc::new(move || {
            let spent = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
            spent.map(drop).map_err(|_none| io::Error::other("killed"))
        });
        Self {
            role: Mutex::new(role),
            left,
            files: model.user(gate, 16),
        }
    }

    fn act(&self, world: &Mutex<World>, operations: usize) {
        self.left.store(operations, Ordering::Relaxed);
        take_turn(&mut *self.role.lock().unwrap(), world, &self.files);
    }
}

/// Plays a story in which `first` is interrupted by `second`.
fn play(events: Vec<Event>, first: &mut dyn Role, second: impl Role + Send + 'static) {
    let model = Model::new(ROOT);
    let world = Arc::new(Mutex::new(World::default()));
    let events = Arc::new(Mutex::new(VecDeque::from(events)));
    let observer = Mutex::new(Observer::default());
    let other = Other::new(second, &model);
    let gate: Gate = {
        let (events, world, model) = (events.clone(), world.clone(), model.clone());
        Arc::new(move || {
            loop {
                observer.lock().unwrap().look(&model);
                let event = events.lock().unwrap().pop_front();
                match event {
                    None | Some(Event::Kill) => return Err(io::Error::other("killed")),
                    Some(Event::Step) => return Ok(()),
                    Some(Event::Other(operations)) => other.act(&world, operations),
                    Some(Event::Change) => world.lock().unwrap().devices += 1,
                    Some(Event::Toggle(place)) => world.lock().unwrap().wanted[place] ^= true,
                }
            }
        })
    };
    let files = model.user(gate, 16);
    while !events.lock().unwrap().is_empty() {
        take_turn(first, &world, &files);
    }
    settle(&model, &world.lock().unwrap());
}

/// After any story, a proxy and a handler that start anew agree on what is wanted and what is there.
fn settle(model: &Model, world: &World) {
    let disk = model.free();
    let asker = Asker::open(disk.clone(), layout(), "last").unwrap();
    let mut handler = Answerer::open(disk.clone(), layout(), "last").unwrap();
    let wanted = IDS.into_iter().zip(world.wanted);
    let wanted: Vec<&str> = wanted
        .filter_map(|(id, wanted)| wanted.then_some(id))
        .collect();
    for id in &wanted {
        asker.ask(id, &request(id, u64::MAX)).unwrap();
    }
    round(&mut handler, world.devices).unwrap();
    assert_eq!(disk.list(&layout().requests()).unwrap(), wanted);
    for id in wanted {
        let answer = asker.answer(id, u64::MAX).unwrap().unwrap();
        assert_eq!(answer.outcome, found(&request(id, u64::MAX), world.devices));
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_proxy_that_is_interrupted_anywhere_loses_no_answer_and_shows_no_half_message(events in events()) {
        play(events, &mut Proxy::default(), Handler::default());
    }

    #[test]
    fn a_handler_that_is_interrupted_anywhere_loses_no_answer_and_shows_no_half_message(events in events()) {
        play(events, &mut Handler::default(), Proxy::default());
    }
}
