# The host that 7-down.sh has left, up again.
. ./check
check "the host is up" systemctl is-system-running --wait
same "what was running runs, and what always should" $'always,running\ndb,running\nnever,stopped\noff,stopped\nstuck,running\nweb,running' "$(status | sort)"
bye() { sysctl file pull "$1/root/bye" -; }
like "web was halted in order" '^[0-9]+$' "$(bye web)"
like "db was halted in order, though it was frozen" '^[0-9]+$' "$(bye db)"
check "web before db, and the one that never halts had its time in between" [ $(($(bye web) + 5)) -le "$(bye db)" ]
started() { date +%s -d "$(sysctl info "$1" --format json | sed -nE 's/.*"started_at": "(.*)".*/\1/p')"; }
check "web was started first, and its delay waited for" [ $(($(started web) + 2)) -le "$(started db)" ]
check "boots" booted web
check "boots" booted db

check "wanted again after a crash" sysctl config set web boot.autorestart=true
old=$(init_of web)
kill -9 "$old"
again() { init=$(init_of web) && [ -n "$init" ] && [ "$init" != "$old" ]; }
check "its init was killed, and it is back" within 60 again
like "that is told" 'crashes: +1 in a row, .*SIGKILL; started again' "$(sysctl info web)"
check "boots" booted web
old=$(init_of web)
kill -9 $(cat "$(sed -nE 's|^0::(.*)/guest/.*|/sys/fs/cgroup\1|p' "/proc/$old/cgroup")/monitor/cgroup.procs")
check "its monitor was killed, and the timer has brought it back" within 240 again
like "that is told" 'its monitor was killed; started again' "$(sysctl info web)"
check "boots" booted web
check "delete all" sysctl delete --force always db never off stuck web
check "nothing left" clean 30
echo END
