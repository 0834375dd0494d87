//! `gresgen order`

mod wire;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, stdin, stdout};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use mig::Profile;
use schemars::JsonSchema;
use serde::Serialize;

use super::changed::Report;
use super::paint::Painted;
use super::report::{Exit, Failure, Outcome};
use super::session::Session;
use super::status::{self, Status};
use super::{Global, gpus::Only};
use crate::apply::desired::DesiredStateError;
use crate::apply::ordered::{self, OrderRefused};
use crate::document;
use crate::hooks::Hooks;
use crate::lock::{Lock, LockError};
use crate::node::ordered::name;
use crate::node::{Events, Options};
use crate::order::{self, Code, Cut, MAX_BYTES, OrderError, Request, heard};
use crate::wait::Stop;

/// How long the order may take to come, and the answer to be taken.
const LIMIT: Duration = Duration::from_secs(30);

/// Most characters of a text that is given back: it may quote what was sent, or what a command said.
const MAX_TEXT: usize = 4000;

/// Version of [`Answer`]: it changes when an older reader would misunderstand.
const VERSION: u32 = 1;

/// What an order came to. Keys are added, never renamed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Answer<'a> {
    version: u32,
    /// The exit code, which is the program's too.
    exit: u8,
    code: Code,
    /// Why it was not carried out, or what is left to do.
    error: Option<String>,
    /// What to do about it.
    hint: Option<String>,
    /// What a cut came to: the same as of apply.
    cut: Option<Report>,
    /// What was seen: the same as of status.
    look: Option<status::Report<'a>>,
    /// The profiles that may be ordered of each GPU that takes orders, by UUID.
    offers: BTreeMap<&'a str, Vec<Profile>>,
}

/// What there is to say, in a form that owns it.
enum Done {
    Looked(Box<Status>, BTreeMap<String, Vec<Profile>>),
    Cut(Report),
}

/// Whatever comes of it is an answer on standard output, and nothing is written beside it: on the other side may be somebody who does
/// not read.
pub(super) fn run(mut session: Session) -> Outcome {
    session.global = Global { json: true, quiet: true, verbose: false, ..session.global };
    let done = read(&session.global).and_then(|request| obey(&session, request));
    let answer = match &done {
        Ok(done) => Answer::of(done),
        Err(failure) => Answer::failed(failure),
    };
    let exit = answer.exit();
    match wire::write(stdout(), answer.text().as_bytes(), LIMIT) {
        Ok(()) => Ok(exit),
        Err(error) => lost(exit, &error),
    }
}

/// What an order comes to whose answer is lost. Its exit code is all that ssh still gives, so that one stays which says more than
/// that all is well.
fn lost(exit: Exit, error: &io::Error) -> Outcome {
    let exit = if exit == Exit::Ok { Exit::Failure } else { exit };
    match error.kind() {
        // Nobody is there, or nobody reads: standard error may lead there, too.
        ErrorKind::BrokenPipe | ErrorKind::TimedOut => Ok(exit),
        _ => Err(Failure::new(exit, format!("standard output: {error}"))),
    }
}

/// The order on standard input.
fn read(global: &Global) -> Result<Request, Failure> {
    trusted_environment()?;
    if global.config.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage("--config -: the order comes on standard input"));
    }
    let text = wire::read(stdin(), MAX_BYTES, LIMIT).map_err(OrderError::Input);
    text.and_then(|text| order::read(&text)).map_err(Failure::usage)
}

/// Over ssh, what the other side may have set (sshd_config(5), AcceptEnv) must not say which files, which library and which
/// Slurm are meant. PATH and SSH_CONNECTION sshd sets itself, after what it was sent (OpenSSH, session.c `do_setup_env`).
fn trusted_environment() -> Result<(), Failure> {
    if std::env::var_os("SSH_CONNECTION").is_none() {
        return Ok(());
    }
    let leads =
        |name: &String| name.starts_with("GRESGEN_") || name == "SLURM_CONF" || name == "SLURMD_NODENAME";
    let mut names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    match names.find(leads) {
        Some(name) => Err(Failure::usage(format!("{name}: is set, perhaps by whoever is connected"))
            .hint(format!("in authorized_keys: command=\"env -u {name} gresgen order\""))),
        None => Ok(()),
    }
}

fn obey(session: &Session, request: Request) -> Result<Done, Failure> {
    heard::note(&session.root);
    match request {
        Request::Look(_) => look(session),
        Request::Cut(cut) => carry_out(session, &cut),
    }
}

fn look(session: &Session) -> Result<Done, Failure> {
    let settings = session.config()?.slurm;
    let status = Status::read(session, &Only::default())?;
    let inventory = status.inventory();
    let offers = inventory.gpus.iter().filter_map(|gpu| {
        let menu = ordered::menu(&inventory.node, gpu, &settings)?;
        Some((gpu.uuid.clone(), menu))
    });
    let offers = offers.collect();
    Ok(Done::Looked(Box::new(status), offers))
}

fn carry_out(session: &Session, cut: &Cut) -> Result<Done, Failure> {
    let config = session.config()?;
    let mut node = session.node_with(&config.slurm, session.driver()?)?;
    let hooks = Hooks::new(session.hooks()?, None, &session.root)?;
    let stop = Stop::on_signals_but_hangup().map_err(Failure::failed)?;
    let lock = Lock::node(&session.root)?;
    let what = name(cut, peer(std::env::var("SSH_CONNECTION").ok().as_deref()));
    let options = Options { what: &what, hooks: Some(&hooks), ..Options::default() };
    let mut events = Events { show: &mut |_| {}, stop };
    let done = node.carry_out_order(&lock, cut, &options, &mut events)?;
    Ok(Done::Cut(Report::new(&done)))
}

/// The address on the other side, as sshd has it: `192.0.2.1 50000 192.0.2.2 22`.
fn peer(connection: Option<&str>) -> Option<IpAddr> {
    connection?.split(' ').next()?.parse().ok()
}

impl<'a> Answer<'a> {
    fn new(exit: Exit, code: Code) -> Self {
        Answer {
            version: VERSION,
            exit: exit as u8,
            code,
            error: None,
            hint: None,
            cut: None,
            look: None,
            offers: BTreeMap::new(),
        }
    }

    fn of(done: &'a Done) -> Self {
        match done {
            Done::Looked(status, offers) => {
                let offers = offers.iter().map(|(gpu, menu)| (&**gpu, menu.clone())).collect();
                Answer { look: Some(status.report()), offers, ..Answer::new(Exit::Ok, Code::Done) }
            }
            Done::Cut(report) => {
                let exit = report.exit();
                let code = match exit {
                    Exit::SlurmPending | Exit::ResetPending => Code::Pending,
                    _ if report.changed() => Code::Done,
                    _ => Code::Nothing,
                };
                Answer { cut: Some(report.clone()), ..Answer::new(exit, code) }
            }
        }
    }

    fn failed(failure: &Failure) -> Self {
        let note = failure.note.map(|note| format!("; {note}")).unwrap_or_default();
        Answer {
            error: Some(beginning(&format!("{}{note}", failure.error))),
            hint: failure.hint.as_deref().map(beginning),
            ..Answer::new(failure.exit, code(failure))
        }
    }

    fn exit(&self) -> Exit {
        let mut known = Exit::ALL.into_iter().map(|(exit, _)| exit);
        known.find(|exit| *exit as u8 == self.exit).unwrap_or(Exit::Failure)
    }

    /// One JSON value of no more bytes than an inventory may have.
    fn text(self) -> String {
        let text = |answer: &Answer<'_>| Painted::json(answer).map(|text| text.as_ansi().to_owned()).ok();
        let limit = usize::try_from(document::MAX_BYTES).unwrap_or(usize::MAX);
        let whole = text(&self).filter(|text| text.len() <= limit);
        whole.unwrap_or_else(|| {
            let error = Some(format!(
                "what was {} has more than {limit} bytes",
                if self.look.is_some() { "seen" } else { "done" }
            ));
            let short = Answer { error, cut: None, look: None, offers: BTreeMap::new(), ..self };
            text(&short).unwrap_or_default()
        })
    }
}

/// What a failure is to whoever gave the order.
fn code(failure: &Failure) -> Code {
    match failure.error.downcast_ref::<DesiredStateError>() {
        Some(DesiredStateError::Order(OrderRefused::NotThere(_))) => return Code::Stale,
        Some(DesiredStateError::Order(_)) => return Code::Refused,
        _ => {}
    }
    if failure.error.is::<OrderError>() {
        return Code::Invalid;
    }
    if matches!(failure.error.downcast_ref(), Some(LockError::Held { .. })) {
        return Code::Locked;
    }
    match failure.exit {
        Exit::InUse => Code::InUse,
        Exit::Usage => Code::Refused,
        Exit::SlurmPending | Exit::ResetPending => Code::Pending,
        Exit::Interrupted => Code::Interrupted,
        _ => Code::Failed,
    }
}

/// The beginning of a text.
fn beginning(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_or_nothing() {
        let address = |text| peer(Some(text)).map(|address| address.to_string());
        assert_eq!(address("192.0.2.1 50000 192.0.2.2 22").as_deref(), Some("192.0.2.1"));
        assert_eq!(address("2001:db8::1 50000 2001:db8::2 22").as_deref(), Some("2001:db8::1"));
        for wrong in
            ["", "UNKNOWN 65535 UNKNOWN 65535", "n1 1 n2 22", "\u{1b}[2J 1 2 3", "192.0.2.1;id 1 2 3"]
        {
            assert_eq!(address(wrong), None, "{wrong:?}");
        }
        assert_eq!(peer(None), None);
    }
}
