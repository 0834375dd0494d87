#!/bin/sh
# Stands for systemd, which a lab has not: starts and stops what the documents name.
#
# usage: systemctl daemon-reload | enable [--now] UNIT... | start|stop|restart|reload UNIT...
set -eu
verb=$1
shift
now=no
if [ "${1-}" = --now ]; then now=yes; shift; fi

unit_file() { ls "/usr/lib/systemd/system/$1.service"; }

# shellcheck disable=SC2086 # A word for each process.
stop() {
    pid=$(pidof "$1") || return 0
    kill $pid
    while kill -0 $pid 2>/dev/null; do sleep 0.02; done
}

# As the units of Slurm have it (ExecReload).
# shellcheck disable=SC2046 # A word for each process.
reload() { kill -HUP $(pidof "$1"); }

# A database of this node's own: what the package's unit would start is the host's.
mariadb_in_memory() {
    data=/run/mysqld/data
    mkdir -p /run/mysqld
    mariadb-install-db --no-defaults --user=root --datadir=$data --auth-root-authentication-method=socket \
        --skip-test-db >/dev/null
    mariadbd --no-defaults --user=root --datadir=$data --socket=/run/mysqld/mysqld.sock --skip-networking \
        --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=32M </dev/null >/dev/null 2>&1 &
    until mariadb --no-defaults -u root -e 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done
}

start() {
    case $1 in
    slurmctld | slurmd | slurmdbd) "$1" ;;
    mariadb) mariadb_in_memory ;;
    *) # A unit of this project: what it would run, judged as it says.
        set +e
        # shellcheck disable=SC2091 # The command line of the unit.
        $(sed -n 's/^ExecStart=//p' "$(unit_file "$1")")
        code=$?
        set -e
        case " 0 $(sed -n 's/^SuccessExitStatus=//p' "$(unit_file "$1")") " in
        *" $code "*) ;;
        *) exit 1 ;;
        esac
        ;;
    esac
}

for unit in "$@"; do
    unit=${unit%.service}
    case $verb in
    enable) unit_file "$unit" >/dev/null; [ $now = no ] || start "$unit" ;;
    disable) unit_file "$unit" >/dev/null ;;
    start) start "$unit" ;;
    stop) stop "$unit" ;;
    restart) stop "$unit"; start "$unit" ;;
    reload) reload "$unit" ;;
    daemon-reload) ;;
    *) echo "systemctl $verb: not known here" >&2; exit 1 ;;
    esac
done
