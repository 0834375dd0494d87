//! `lab playground`: a node to try things on, with simulated GPUs that are cut already, a running Slurm, and the two
//! people it has: a user and its admin.

use crate::{Lab, LabError, Release, Simulated, User};

/// What the user may type.
const FOR_ALICE: &str = "\
A node with two simulated A100-40GB, cut into 7 slices, and a running Slurm.
You are alice, one of its users:

  sinfo -o '%n %G'
  srun --gres=gpu:1g.5gb:1 sh -c 'echo $CUDA_VISIBLE_DEVICES'

After `exit` you are root, its admin.
";

/// What the admin may type.
const FOR_ROOT: &str = "
You are root, the admin of this node:

  gresgen status
  gresgen check
  $EDITOR /etc/gresgen/config.yaml; gresgen plan; gresgen apply --slurm=apply
  su alice

After `exit` all of it is gone.
";

/// Runs the playground with the programs beside this one, on the caller's own terminal or input.
///
/// # Errors
/// What the node could not be set up for.
pub fn run() -> Result<(), LabError> {
    let lab = Simulated::built()?.node(Release::Bookworm)?;
    let cut = lab.gresgen(&["--quiet", "apply"])?;
    // 6: Slurm learns of it by its start.
    if cut.code != 6 {
        let what = format!("exit code {}\n{}", cut.code, cut.stderr);
        return Err(LabError::Command { command: "gresgen apply".to_owned(), what });
    }
    lab.start_slurm()?;
    for (user, text) in [(User::Alice, FOR_ALICE), (User::Root, FOR_ROOT)] {
        // Not data: what the shells print is.
        eprintln!("{text}");
        shell(&lab, user)?;
    }
    Ok(())
}

/// A shell without the caller's own start files, which know of another machine.
fn shell(lab: &Lab, user: User) -> Result<(), LabError> {
    lab.interactive(user, &["env", "PS1=\\u@\\h:\\w\\$ ", "bash", "--norc"]).map(drop)
}
