#!/bin/sh
# Stands for systemd, which a lab has not: starts and stops what the documents name.
#
# usage: systemctl daemon-reload | enable [--now] UNIT... | start|stop|restart UNIT...
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

start() {
    case $1 in
    slurmctld | slurmd) "$1" ;;
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
    daemon-reload) ;;
    *) echo "systemctl $verb: not known here" >&2; exit 1 ;;
    esac
done
