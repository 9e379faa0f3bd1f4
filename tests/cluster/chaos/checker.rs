//! Whether a history keeps what rejob promises.
//!
//! A Job that one client writes to is followed command by command. Of a shared Job only what holds
//! in every order is checked: what a success shows, and which templates ran how often.

use std::collections::{BTreeMap, BTreeSet};

use super::history::{Event, JobHistory, Seen, Wish, is_told_to_wait};

/// Every broken promise, in words; empty when all hold.
pub fn violations(history: &JobHistory) -> Vec<String> {
    let mut checker = Checker { history, found: Vec::new() };
    checker.successes();
    checker.rest_of_the_template();
    if history.shared {
        checker.looks_at_a_shared_job();
    } else {
        checker.one_command_after_the_other();
        checker.end();
    }
    checker.first_answer_in_calm();
    checker.runs();
    for uid in &history.deleted_while_ready {
        checker.tell(format!("{uid} was deleted while a Pod of it was ready"));
    }
    checker.found
}

struct Checker<'h> {
    history: &'h JobHistory,
    found: Vec<String>,
}

impl Checker<'_> {
    fn tell(&mut self, what: impl std::fmt::Display) {
        let shared = if self.history.shared { " (shared)" } else { "" };
        self.found.push(format!("{}{shared}: {what}", self.history.job));
    }

    /// A success is about a Job that is as asked, and is to run.
    fn successes(&mut self) {
        for event in &self.history.events {
            match event {
                Event::Answered(wish, Ok(Some(seen))) => self.is_as_asked(wish, seen),
                Event::NeverStarted(uid) => self.tell(format!("{uid} never started a Pod")),
                Event::StaysDormant => self.tell("it stays dormant"),
                _ => {}
            }
        }
    }

    /// Commands change the image alone.
    fn rest_of_the_template(&mut self) {
        let mut seen = self.history.events.iter().filter_map(|event| match event {
            Event::Answered(_, Ok(Some(seen))) | Event::Read(Some(seen)) => Some(seen),
            _ => None,
        });
        let first = seen.next();
        if let Some(other) = seen.find(|seen| first.is_some_and(|first| first.rest != seen.rest)) {
            self.tell(format!("the template changed beside its image: {first:?}, {other:?}"));
        }
    }

    fn is_as_asked(&mut self, wish: &Wish, seen: &Seen) {
        if seen.dormant || seen.marker || seen.parallelism == 0 {
            self.tell(format!("told success about a Job that does not run: {seen:?}"));
        }
        let met = match wish {
            Wish::Image(_) => seen.is_of(wish),
            Wish::Label(label) => seen.label.as_ref() == Some(label),
            Wish::Parallelism(parallelism) => seen.parallelism == *parallelism,
            Wish::Rerun => true,
        };
        if !met {
            self.tell(format!("asked for {wish:?}, told success about {seen:?}"));
        }
    }

    /// What one client does: success holds until it asks for something else, what is unchanged runs
    /// nothing, and what is changed runs.
    fn one_command_after_the_other(&mut self) {
        // What is there since the last success; the command since then, and whether it is done.
        let mut stands: Option<Seen> = None;
        let mut command: Option<(&Wish, bool)> = None;
        for event in &self.history.events {
            match event {
                Event::Asked(wish, _) => command = Some((wish, false)),
                Event::Answered(_, Ok(_)) => command = command.map(|(wish, _)| (wish, true)),
                // What is there then is only known after the next command.
                Event::GaveUp => (stands, command) = (None, None),
                Event::Answered(_, Err(_))
                | Event::NeverStarted(_)
                | Event::StaysDormant
                | Event::Calm(_) => {}
                Event::Read(None) => {
                    self.tell(format!("the Job is lost; it was {stands:?}, then {command:?}"));
                }
                Event::Read(Some(seen)) => {
                    match command.take() {
                        None if stands.as_ref().is_some_and(|stands| stands != seen) => {
                            self.tell(format!("nobody asked, and {stands:?} became {seen:?}"));
                        }
                        None => {}
                        Some((wish, false)) => self.tell(format!("{wish:?} never succeeded")),
                        Some((wish, true)) => self.followed(stands.as_ref(), wish, seen),
                    }
                    stands = Some(seen.clone());
                }
            }
        }
    }

    /// After a success the Job is as asked, unless another client's command came in its way: one that ended
    /// after this try began.
    fn looks_at_a_shared_job(&mut self) {
        for (at, pair) in self.history.events.windows(2).enumerate() {
            let [Event::Answered(wish, Ok(None)), Event::Read(seen)] = pair else { continue };
            let (before, events) = (&self.history.events[..at], &self.history.events);
            let begun = before.iter().rposition(|event| event.wish() == Some(wish)).unwrap_or(0);
            let mut meanwhile = before.iter().filter_map(Event::wish).filter(|other| {
                *other != wish && events[begun..].iter().any(|event| event.wish() == Some(*other))
            });
            let is_as_asked = match seen {
                Some(seen) if seen.marker => false,
                Some(seen) if seen.dormant => meanwhile.next().is_some(),
                Some(seen) => seen.is_of(wish) || meanwhile.any(|other| seen.is_of(other)),
                None => meanwhile.next().is_some(),
            };
            if !is_as_asked {
                self.tell(format!("asked for {wish:?}, told success, and found {seen:?}"));
            }
        }
    }

    fn followed(&mut self, before: Option<&Seen>, wish: &Wish, now: &Seen) {
        self.is_as_asked(wish, now);
        let Some(before) = before else { return };
        let asks_for_a_run = match wish {
            Wish::Image(image) => before.image != *image,
            Wish::Rerun => true,
            Wish::Label(_) | Wish::Parallelism(_) => false,
        };
        match (asks_for_a_run, before.uid == now.uid) {
            (true, true) => self.tell(format!("{wish:?} ran nothing")),
            (false, false) => self.tell(format!("{wish:?} changed nothing and ran: {now:?}")),
            _ => {}
        }
        if !matches!(wish, Wish::Image(_)) && before.image != now.image {
            self.tell(format!("{wish:?} changed the image: {before:?}, {now:?}"));
        }
    }

    /// Where nothing goes wrong, a deploy to a Job that is there succeeds at once, or is told to wait: a
    /// replacement that only deletes shows as a 404 here, which the client makes good.
    fn first_answer_in_calm(&mut self) {
        let mut calm = self.history.events.iter().skip_while(|event| **event != Event::Calm(true));
        let first = calm.find_map(|event| match event {
            Event::Answered(_, answer) => Some(answer),
            _ => None,
        });
        if let Some(Err(error)) = first
            && !is_told_to_wait(error)
        {
            self.tell(format!("nothing goes wrong, and a command fails: {error}"));
        }
    }

    /// Only what was asked for ran, and no more often.
    fn runs(&mut self) {
        let mut runs = BTreeMap::<&str, BTreeSet<&str>>::new();
        for pod in &self.history.pods {
            runs.entry(&pod.image).or_default().insert(&pod.owner);
        }
        let allowed = allowed(self.history);
        for (image, uids) in runs {
            let allowed = allowed.get(image).copied().unwrap_or_default();
            if uids.len() > allowed {
                self.tell(format!("{image} ran {} times, asked for {allowed}", uids.len()));
            }
        }
    }

    /// The last look: the Job is there, runs, and has started a Pod.
    fn end(&mut self) {
        let last = self.history.events.iter().rev().find_map(|event| match event {
            Event::Read(seen) => Some(seen.as_ref()),
            _ => None,
        });
        match last.flatten() {
            None => self.tell("there is no Job in the end"),
            Some(seen) => {
                if seen.dormant || seen.marker {
                    self.tell(format!("left half replaced: {seen:?}"));
                }
                if !self.history.pods.iter().any(|pod| pod.owner == seen.uid) {
                    self.tell(format!("it runs nothing in the end: {seen:?}"));
                }
            }
        }
    }
}

/// How often each image may run. Where clients share the Job, another one's deploy may come
/// between two tries of a command, so that each of them asks for a run, unless it was refused.
fn allowed(history: &JobHistory) -> BTreeMap<&str, usize> {
    let mut allowed = BTreeMap::<&str, usize>::new();
    let mut current = "";
    for event in &history.events {
        match event {
            Event::Answered(Wish::Image(image), answer) if history.shared => {
                let refused = answer.as_ref().is_err_and(|error| is_told_to_wait(error));
                *allowed.entry(image).or_default() += usize::from(!refused);
            }
            Event::Asked(Wish::Image(image), _) if !history.shared => {
                *allowed.entry(image).or_default() += usize::from(current != image);
                current = image;
            }
            Event::Asked(Wish::Rerun, _) => *allowed.entry(current).or_default() += 1,
            _ => {}
        }
    }
    allowed
}

#[cfg(test)]
mod tests;
