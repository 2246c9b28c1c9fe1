# Instances that stop in order with the host, each within its time, one of which never halts; 8-back.sh looks at them.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait
check "enable autostart" systemctl enable -q --now sysctl-autostart
check "it brings its timer" systemctl is-enabled -q sysctl-autorestart.timer

check "import" sysctl image import guest.tar --alias d12 -q
mkdir -p tree/hangs
tar -C tree -xf guest.tar
printf '#!/bin/sh\nwhile :; do sleep 1000; done\n' >tree/hangs/init # and has no use for any signal
chmod 755 tree/hangs/init
ln -sfn /hangs/init tree/sbin/init
check "import one that never halts" sysctl image import tree --alias hangs -q
rm -r tree

check "launch" sysctl launch -q d12 web -c boot.stop.priority=10 -c boot.host_shutdown_timeout=120 -c boot.autostart.priority=5 -c boot.autostart.delay=3
check "launch" sysctl launch -q d12 db -c boot.stop.priority=-10 -c boot.host_shutdown_timeout=120
check "launch" sysctl launch -q hangs stuck -c boot.host_shutdown_timeout=5
check "launch" sysctl launch -q hangs never -c boot.autostart=false -c boot.host_shutdown_action=force-stop
check "create" sysctl create -q hangs off
check "create" sysctl create -q hangs always -c boot.autostart=true
for name in web db; do
    check "boots" booted $name
    at_halt $name 'date +%%s >>/root/bye'
done
check "freeze" sysctl freeze db
same "what runs" $'always,stopped\ndb,frozen\nnever,running\noff,stopped\nstuck,running\nweb,running' "$(status | sort)"
echo END
