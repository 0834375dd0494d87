//! The way to a node: a command that takes an order on its standard input and prints the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

use super::wire::{self, Answer, LOOK, NodeOrder, shown};
use crate::command::{Stopped, bounded};
use crate::document::MAX_BYTES;

/// How long a look may take.
const LOOK_PATIENCE: Duration = Duration::from_secs(60);

/// How long the answer to an order is waited for. Drivers take seconds for an instance, and slurmd may take some to register;
/// what takes longer goes on without being waited for.
const ORDER_PATIENCE: Duration = Duration::from_secs(300);

/// Most bytes of an answer: an inventory, and what is said beside it.
const MOST: u64 = MAX_BYTES + (1 << 20);

/// What is asked of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Look,
    /// The order, then a look at what it made.
    Order(NodeOrder),
}

/// What came of it. Errors are phrases that are harmless and short.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The answer to the order; `None` where none was given.
    pub(super) order: Option<Result<Answer, String>>,
    pub(super) look: Result<Answer, String>,
}

impl Outcome {
    /// Nothing came of an errand, since this host could not run it.
    pub(super) fn none(errand: &Errand, why: &str) -> Self {
        let order = matches!(errand, Errand::Order(_)).then(|| Err(why.to_owned()));
        Outcome { order, look: Err(why.to_owned()) }
    }
}

/// Runs an errand to its end. `command` gives an order to this node.
pub(super) fn run(node: &str, command: &[String], errand: &Errand) -> Outcome {
    let both = || {
        let order = match errand {
            Errand::Look => None,
            Errand::Order(order) => Some(ask(node, command, &order.text(), ORDER_PATIENCE)),
        };
        Outcome { order, look: ask(node, command, LOOK, LOOK_PATIENCE) }
    };
    // An errand without an end would keep its node from all others, and whoever waits for it for ever.
    catch_unwind(AssertUnwindSafe(both))
        .unwrap_or_else(|_| Outcome::none(errand, "its answer could not be read"))
}

fn ask(node: &str, command: &[String], order: &str, patience: Duration) -> Result<Answer, String> {
    let (program, arguments) = command.split_first().ok_or("slurm.arbiter.reach: names no command")?;
    let mut process = Command::new(program);
    process.args(arguments);
    let answer =
        bounded(process, order.as_bytes().to_vec(), patience, MOST).map_err(|stopped| match stopped {
            Stopped::Io(error) => shown(&format!("{program}: {error}")),
            Stopped::Late { .. } => format!("no answer within {} s", patience.as_secs()),
            Stopped::Long => format!("its answer has more than {MOST} bytes"),
        })?;
    // Every answer to an order has its own exit code; where there is none, the command did not get through.
    wire::read(node, &answer.stdout).map_err(|error| {
        let complaint = shown(&String::from_utf8_lossy(&answer.stderr));
        if answer.stdout.is_empty() && !complaint.is_empty() { complaint } else { error }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Code;

    fn shell(script: &str, errand: &Errand) -> Outcome {
        run("n1", &["sh".into(), "-c".into(), script.into()], errand)
    }

    #[test]
    fn an_answer_counts_and_not_how_the_command_ends() {
        let say = r#"read -r order; echo "$order" >&2; echo '{"version": 1, "code": "in-use", "error": "n1: busy"}'; exit 4"#;
        let outcome = shell(say, &Errand::Order(NodeOrder::default()));
        let answer = outcome.order.unwrap().unwrap();
        assert_eq!((answer.code, answer.error.as_deref()), (Code::InUse, Some("n1: busy")));
        assert_eq!(outcome.look.unwrap().code, Code::InUse);
        assert!(shell(say, &Errand::Look).order.is_none());
    }

    #[test]
    fn what_does_not_get_through_says_why() {
        let error = |script: &str| shell(script, &Errand::Look).look.unwrap_err();
        assert_eq!(
            error("echo 'ssh: connect to host n1: refused' >&2; exit 255"),
            "ssh: connect to host n1: refused"
        );
        assert_eq!(error("echo hello"), "sends no answer to an order, but: hello");
        assert!(error("").starts_with("sends no answer to an order"));
        assert!(error("yes").contains("more than"));
        assert!(
            run("n1", &["/nonexistent/ssh".into()], &Errand::Look)
                .look
                .unwrap_err()
                .contains("/nonexistent/ssh")
        );
        assert!(run("n1", &[], &Errand::Look).look.is_err());
    }
}
