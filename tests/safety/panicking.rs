//! A plugin whose hooks panic wherever Slurm calls them, behind the gate that the real one has.

use spank::Spank;
use spank::export::Arguments;

fn init(_: &mut Spank<'_>, _: Arguments<'_>) {
    panic!("in init");
}

fn task_init(_: &mut Spank<'_>, _: Arguments<'_>) {
    panic!("in the task");
}

spank::plugin!("panicking", slurm_spank_init => init, slurm_spank_task_init => task_init);
