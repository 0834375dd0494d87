//! A slurmdbd with its MariaDB, both in the lab alone: the database lies in the lab's memory and answers on a socket there.

use crate::{Lab, LabError};

/// What slurm.conf says of it.
pub(crate) const SLURM_CONF: &str = "\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=10.0.0.1
AccountingStorageEnforce=associations,limits,qos
";

const SLURMDBD_CONF: &str = "\
AuthType=auth/none
DbdHost=localhost
DbdAddr=10.0.0.1
SlurmUser=root
PidFile=/run/slurmdbd.pid
LogFile=/var/log/slurm/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=slurm_acct_db
";

/// MariaDB as its package would start it, but for its place and its size: root is known by its socket, and nothing is
/// asked to survive. `mariadb-install-db` writes its tables once; the server ends with the lab.
const DATABASE: &str = r#"set -e
data=/run/mysqld/data
mkdir -p /run/mysqld
ln -s mysqld /run/mariadbd # where clients of Debian unstable look
mariadb-install-db --no-defaults --user=root --datadir=$data --auth-root-authentication-method=socket --skip-test-db >/run/mysqld/install.log 2>&1 ||
    { cat /run/mysqld/install.log; exit 1; }
mariadbd --no-defaults --user=root --datadir=$data --socket=/run/mysqld/mysqld.sock --skip-networking \
    --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=32M --innodb-log-file-size=16M \
    --pid-file=/run/mysqld/mysqld.pid --log-error=/var/log/slurm/mariadbd.log </dev/null >/dev/null 2>&1 &
"#;

/// Starts both and waits until each answers.
pub(crate) fn start(lab: &Lab) -> Result<(), LabError> {
    lab.run(&["sh", "-c", DATABASE])?;
    let sql = |text| ["mariadb", "--no-defaults", "--skip-ssl", "-u", "root", "-e", text];
    answers(lab, "MariaDB", &sql("SELECT 1"))?;
    // slurmdbd makes it itself, on a connection that libmariadb of 11.8.9 then takes no result from (docs/accounting.md).
    lab.run(&sql("CREATE DATABASE slurm_acct_db"))?;
    // slurmdbd refuses a file that others can read.
    lab.put("/etc/slurm/slurmdbd.conf", "600", SLURMDBD_CONF.as_bytes())?;
    lab.run(&["slurmdbd"])?;
    answers(lab, "slurmdbd", &["sacctmgr", "-n", "show", "cluster"])?;
    lab.run(&["sacctmgr", "-i", "add", "cluster", "lab"])?;
    lab.run(&["sacctmgr", "-i", "add", "account", "physics", "Cluster=lab"])?;
    lab.run(&["sacctmgr", "-i", "add", "user", "alice", "Account=physics", "Cluster=lab"]).map(drop)
}

fn answers(lab: &Lab, who: &str, command: &[&str]) -> Result<(), LabError> {
    let answer = || Ok(lab.command(command).output()?.success().then_some(()));
    lab.wait(&format!("{who} to answer"), answer)
}
