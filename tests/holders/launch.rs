//! Every launch mode of the launch tests.

use lab::{Invocation, LabError, User};

use crate::site::{Setup, Site};
use crate::table::{self, Held, Holder};

#[path = "../shared/cases.rs"]
#[expect(dead_code, reason = "what a task is told is not judged here")]
mod cases;

use cases::{CASES, Case, Launch};

#[test]
fn every_launch_mode() {
    // A job without GPUs holds none.
    let holding = CASES.iter().filter(|case| case.arguments.contains("gpu"));
    let rows: Vec<_> =
        holding.map(|case| Holder::new(case.name, |site| launch(site, case)).since(case.since)).collect();
    table::run(&Setup::USUAL, &rows);
}

fn launch(site: &Site, case: &Case) -> Result<Held, LabError> {
    let place = if case.arguments.contains("-w") { &[][..] } else { &["-wn1"] };
    let arguments: Vec<_> = place.iter().copied().chain(case.arguments.split_whitespace()).collect();
    let line = arguments.join(" ");
    let prepare = |command: Invocation| {
        case.exported
            .iter()
            .fold(command.user(User::Alice), |command, (name, value)| command.env(name, value))
    };
    let witness = |script: &str| script.replace(cases::PROBE, "lab-witness");
    match case.launch {
        Launch::Srun => {
            let script = format!("setsid -f srun {line} lab-witness </dev/null >/var/lab/out/said 2>&1");
            site.begin(prepare(site.lab.command(&["bash", "-c", &script])))?;
        }
        Launch::Batch(script) => {
            site.lab.submit(prepare(site.lab.submission(&arguments, &witness(script))))?;
        }
        Launch::Salloc(typed) => {
            site.lab.write_file("/var/lab/out/typed", format!("{}\nexit\n", witness(typed)))?;
            let script = format!(
                "setsid -f script -qec 'salloc {line}' /dev/null </var/lab/out/typed >/var/lab/out/said 2>&1"
            );
            site.begin(prepare(site.lab.command(&["bash", "-c", &script])))?;
        }
    }
    // Tasks of one step begin together; later steps wait for the first to end.
    site.wait_witnesses(1)?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    Ok(Held::by_tasks(site, site.witnesses()?))
}
