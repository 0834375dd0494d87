//! Every spelling, under a Lua interpreter where there is one.

use std::process::Command;

use crate::script;

#[test]
fn typed_gpus_per_task_is_refused() {
    let interpreters = ["lua", "lua5.4", "lua5.3"];
    let Some(lua) = interpreters.iter().find(|lua| Command::new(lua).arg("-v").output().is_ok()) else {
        eprintln!("skipped: no Lua interpreter (Debian: lua5.4)");
        return;
    };
    let mut command = Command::new(lua);
    command.arg(script().with_file_name("../../tests/guard/guard_test.lua")).arg(script());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"guard: ok\n");
}
