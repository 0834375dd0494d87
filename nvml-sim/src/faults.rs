//! Faults on order: `NVML_SIM_FAULTS` and `NVML_SIM_LATENCY`.
//!
//! `Call@n=CODE` makes the n-th call of that name in this process give CODE, `Call@*=CODE` every one and
//! `Call@n+=CODE` the n-th and all that follow; `*` for the call is any call, as of a GPU that falls off the
//! bus. `kill@n` ends the process before its n-th changing call. With a trailing `!` the effect comes first.
//! Several are separated by commas. Latency is `Call=ms,...`.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::code::Code;

/// All faults of a process, and how far it has come.
#[derive(Debug, Default)]
pub struct Faults {
    calls: Vec<CallFault>,
    kills: Vec<(u64, When)>,
    seen: HashMap<String, u64>,
    all: u64,
    changes: u64,
}

#[derive(Debug)]
struct CallFault {
    /// Its name; none is any call.
    call: Option<String>,
    which: Which,
    code: Code,
    when: When,
}

/// Which calls of a name a fault is for.
#[derive(Clone, Copy, Debug)]
enum Which {
    Every,
    Only(u64),
    From(u64),
}

/// Whether a fault keeps the call from doing its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It does.
    Instead,
    /// The work is done first.
    After,
}

/// What is to happen at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing unusual.
    Proceed,
    /// It gives this code.
    Fail(Code, When),
    /// The process ends.
    Die(When),
}

/// Extra time per call.
#[derive(Debug, Default)]
pub struct Latency(HashMap<String, Duration>);

/// A part of one of the two variables that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(String);

impl Faults {
    /// Counts one call and says what happens to it.
    pub fn meet(&mut self, call: &str, changes: bool) -> Fate {
        let seen = self.seen.entry(call.to_owned()).or_default();
        *seen += 1;
        let seen = *seen;
        self.all += 1;
        if changes {
            self.changes += 1;
            if let Some(&(_, when)) = self.kills.iter().find(|(n, _)| *n == self.changes) {
                return Fate::Die(when);
            }
        }
        let hit = |f: &&CallFault| match &f.call {
            Some(name) => name == call && f.which.is_for(seen),
            None => f.which.is_for(self.all),
        };
        self.calls.iter().find(hit).map_or(Fate::Proceed, |f| Fate::Fail(f.code, f.when))
    }

    /// A call that is named and that `known` does not hold for: its fault could never happen.
    pub fn unknown_call(&self, known: impl Fn(&str) -> bool) -> Option<FaultError> {
        unknown(self.calls.iter().filter_map(|f| f.call.as_deref()), known)
    }
}

impl Which {
    fn is_for(self, number: u64) -> bool {
        match self {
            Which::Every => true,
            Which::Only(n) => n == number,
            Which::From(n) => n <= number,
        }
    }

    fn parse(text: &str) -> Option<Which> {
        match text.strip_suffix('+') {
            _ if text == "*" => Some(Which::Every),
            Some(text) => count(text).map(Which::From),
            None => count(text).map(Which::Only),
        }
    }
}

impl Latency {
    /// Extra time of a call.
    pub fn of(&self, call: &str) -> Duration {
        self.0.get(call).copied().unwrap_or_default()
    }

    /// As [`Faults::unknown_call`].
    pub fn unknown_call(&self, known: impl Fn(&str) -> bool) -> Option<FaultError> {
        unknown(self.0.keys().map(String::as_str), known)
    }
}

fn unknown<'a>(mut calls: impl Iterator<Item = &'a str>, known: impl Fn(&str) -> bool) -> Option<FaultError> {
    let call = calls.find(|call| !known(call))?;
    Some(FaultError(format!("{call}: the simulator has no such call")))
}

impl FromStr for Faults {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let mut faults = Faults::default();
        for part in parts(text) {
            let malformed = || {
                FaultError(format!(
                    "{part:?}: not of the form Call@n=CODE, Call@n+=CODE, Call@*=CODE or kill@n"
                ))
            };
            let (body, when) = match part.strip_suffix('!') {
                Some(body) => (body, When::After),
                None => (part, When::Instead),
            };
            let (call, rest) = body.split_once('@').ok_or_else(malformed)?;
            if call == "kill" {
                faults.kills.push((count(rest).ok_or_else(malformed)?, when));
                continue;
            }
            let (number, code) = rest.split_once('=').ok_or_else(malformed)?;
            let which = Which::parse(number).ok_or_else(malformed)?;
            let code =
                code.parse().map_err(|()| FaultError(format!("{part:?}: {code:?} is no NVML error")))?;
            let call = (call != "*").then(|| call.to_owned());
            faults.calls.push(CallFault { call, which, code, when });
        }
        Ok(faults)
    }
}

impl FromStr for Latency {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let pair = |part: &str| {
            let (call, ms) = part.split_once('=')?;
            let seconds = ms.parse::<f64>().ok()? / 1000.0;
            Some((call.to_owned(), Duration::try_from_secs_f64(seconds).ok()?))
        };
        let read =
            |part: &str| pair(part).ok_or_else(|| FaultError(format!("{part:?}: not of the form Call=ms")));
        parts(text).map(read).collect::<Result<_, _>>().map(Latency)
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&n| n > 0)
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_of_a_name_fails_and_no_other() {
        let mut faults: Faults = "A@2=IN_USE, B@*=23!".parse().unwrap();
        let mut fates = |call| [(); 3].map(|()| faults.meet(call, false));
        assert_eq!(fates("A"), [Fate::Proceed, Fate::Fail(Code::IN_USE, When::Instead), Fate::Proceed]);
        assert_eq!(fates("B"), [Fate::Fail(Code::INSUFFICIENT_RESOURCES, When::After); 3]);
        assert_eq!(fates("C"), [Fate::Proceed; 3]);
    }

    #[test]
    fn a_driver_vanishes_from_a_call_on() {
        let mut faults: Faults = "*@3+=GPU_IS_LOST,A@2+=IN_USE".parse().unwrap();
        let mut fates = |calls: [&str; 4]| calls.map(|call| faults.meet(call, false) != Fate::Proceed);
        assert_eq!(fates(["A", "B", "B", "A"]), [false, false, true, true]);
        let mut faults: Faults = "A@2+=IN_USE".parse().unwrap();
        let mut fates = |calls: [&str; 4]| calls.map(|call| faults.meet(call, false) != Fate::Proceed);
        assert_eq!(fates(["A", "B", "A", "A"]), [false, false, true, true]);
    }

    #[test]
    fn kill_counts_changing_calls_of_any_name() {
        let mut faults: Faults = "kill@2,kill@3!".parse().unwrap();
        let fates = [("A", true), ("R", false), ("B", true), ("A", true)].map(|(c, m)| faults.meet(c, m));
        assert_eq!(fates, [Fate::Proceed, Fate::Proceed, Fate::Die(When::Instead), Fate::Die(When::After)]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in [
            "A",
            "A@1",
            "A@0=IN_USE",
            "A@x=IN_USE",
            "A@1=BUSY",
            "A@1=0",
            "A@+=IN_USE",
            "kill@",
            "kill@*",
            "kill@0",
        ] {
            let error = text.parse::<Faults>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        for text in ["A", "A=", "A=-1", "A=1s", "A=inf"] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
        let misspelt: Faults = "nvmlInt@1=IN_USE".parse().unwrap();
        assert!(misspelt.unknown_call(|c| c == "nvmlInit").is_some());
    }

    #[test]
    fn latency_is_per_call() {
        let latency: Latency = "A=20,B=0.25".parse().unwrap();
        assert_eq!(
            [latency.of("A"), latency.of("B"), latency.of("C")].map(|d| d.as_micros()),
            [20_000, 250, 0]
        );
    }
}
