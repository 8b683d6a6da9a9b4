//! What anybody who looks at the shared folder at any moment must find.

use std::collections::BTreeMap;

use coracle_akri_protocol::{Answer, Files, Request};

use crate::layout;
use crate::model::Model;

/// Looks at every message after every step.
#[derive(Default)]
pub(crate) struct Observer {
    /// The last answer to each generation of each request.
    answers: BTreeMap<(String, u64), Answer>,
}

impl Observer {
    /// Asserts that every message is whole, that no answer became older, and that none was lost.
    pub(crate) fn look(&mut self, model: &Model) {
        let (disk, layout) = (model.free(), layout());
        for id in disk.list(&layout.requests()).unwrap_or_default() {
            let Ok(text) = disk.read(&layout.request(&id)) else {
                continue;
            };
            let request: Request = serde_json::from_slice(&text).expect("a request is whole");
            let answer = disk.read(&layout.answer(&id)).ok();
            let answer: Option<Answer> =
                answer.map(|text| serde_json::from_slice(&text).expect("an answer is whole"));
            self.compare((id, request.generation), answer);
        }
    }

    fn compare(&mut self, key: (String, u64), answer: Option<Answer>) {
        let answer = answer.filter(|answer| answer.generation == key.1);
        match (self.answers.get(&key), answer) {
            (Some(last), None) => panic!("{last:?} was lost"),
            (Some(last), Some(now)) if now.serial < last.serial => {
                panic!("{now:?} replaced {last:?}")
            }
            (Some(last), Some(now)) if now.serial == last.serial => assert_eq!(now, *last),
            (_, Some(now)) => {
                self.answers.insert(key, now);
            }
            (None, None) => {}
        }
    }
}
