# A guest whose systemd knows cgroup v1 alone (252, told to by what it finds on its command line), on this host without any.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait

hierarchy() { grep name=systemd /proc/self/cgroup; }
no_hierarchy() { ! hierarchy; }
guest() { sysctl exec "$1" -- sh -c "$2"; }
# A session of user backup, as PAM would make it; the guest has no module for that, and so no systemd for a user.
session='systemctl mask -q --runtime user@34.service; sleep 300 & '\
'busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager CreateSession "uusssssussbssa(sv)" 34 $! test unspecified user "" "" 0 "" "" false "" "" 0 >/dev/null; '\
'cat /proc/$!/cgroup; loginctl list-sessions; kill $!'
in_v1() { guest "$1" "sed -n s/.*name=systemd://p /proc/$2/cgroup"; }
bites() {
    check "$1: memory bites" sh -c "! sysctl exec $1 -- sh -c 'head -c 250M /dev/zero | tail -c 200M >/dev/null'"
    like "$1: processes bite" 'fork' "$(guest "$1" 'trap "kill 0" EXIT; i=0; while [ $i -lt 120 ]; do sleep 300 & i=$((i+1)); done' 2>&1)"
}
# The kernel's log: root in a privileged guest would read it, but for the filter.
filters() { like "$1: no device" 'Operation not permitted' "$(guest "$1" 'rm -f /root/kmsg; mknod /root/kmsg c 1 11; head -c 1 /root/kmsg' 2>&1)"; }

# lives NAME: a guest of that kind has booted, in its place, with its limits.
lives() {
    check "$1 boots to running" booted "$1"
    same "$1: init is in the hierarchy" "/init.scope" "$(in_v1 "$1" 1)"
    same "$1: exec is too" "/" "$(in_v1 "$1" self)"
    bites "$1"
    filters "$1"
}

# works NAME: it lives, and has all that a guest of that kind must have.
works() {
    lives "$1"
    same "$1: no failed unit" "" "$(sysctl exec "$1" -- systemctl --failed --no-legend)"
    same "$1: its systemd uses cgroup v1" "cgroup" "$(guest "$1" 'stat -fc %T /sys/fs/cgroup/systemd | sed s/fs$//')"
    same "$1: and nothing else" "/sys/fs/cgroup/systemd" "$(guest "$1" "awk '\$3 ~ /^cgroup/ {print \$2}' /proc/mounts")"
    like "$1: systemctl status" 'system.slice' "$(sysctl exec "$1" -- systemctl status --no-pager)"
    same "$1: a service has its cgroup" "/system.slice/there.service" "$(guest "$1" 'systemd-run -q --unit=there --pipe sed -n s/.*name=systemd://p /proc/self/cgroup')"
    said=$(guest "$1" "$session")
    like "$1: a session has its scope" ':name=systemd:/user.slice/user-34.slice/session-.*.scope' "$said"
    like "$1: loginctl knows it" '34 backup' "$said"
}
old() { # old NAME ARGUMENT…: launches one
    local name=$1
    shift
    sysctl launch -q old "$name" -c compat.cgroup-named=on -c limits.memory=150MiB -c limits.processes=100 "$@"
}

check "import" sysctl image import guest.tar --alias d12 -q
check "no hierarchy yet" no_hierarchy
mkdir -p tree/lib tree/old
tar -C tree -xf guest.tar
cat >tree/old/systemd <<'INIT'
#!/bin/sh
exec /lib/systemd/systemd systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1
INIT
chmod 755 tree/old/systemd
ln -sfn /old/systemd tree/sbin/init
check "import the old one" sysctl image import tree --alias old -q
rm -r tree
check "launch" old web1
like "found to be systemd 252" '"init": "systemd", *"init_version": "252' "$(sysctl info web1 --format json | tr -d '\n')"
works web1
like "the host has the hierarchy" '/$' "$(hierarchy)"
same "mounted nowhere" "" "$(awk '$3 == "cgroup"' /proc/mounts)"
like "confined" '^lxc-sysctl-.*\(enforce\)$' "$(label "$(init_of web1)")"
check "no denial of a mount" sh -c '! dmesg | grep -E "apparmor=.DENIED.*operation=.mount.*sys/fs/cgroup/systemd"'

boot=$(sysctl exec web1 -- cat /proc/1/stat | cut -d' ' -f22)
sysctl exec web1 -- systemctl reboot
check "reboot from inside" within 120 sh -c '[ "$(sysctl exec web1 -- cut -d" " -f22 /proc/1/stat)" -gt '"$boot"' ]'
lives web1

check "a modern one beside it" sysctl launch -q d12 new -c limits.memory=150MiB -c limits.processes=100
check "a privileged one" old priv -c security.privileged=true
works priv
check "boots" booted new
same "the modern one has cgroup2" cgroup2 "$(guest new 'stat -fc %T /sys/fs/cgroup | sed s/fs$//')"
check "stop" timeout 60 sysctl stop web1
check "the hierarchy stays for the other" hierarchy
check "delete --force" sysctl delete --force priv
check "the hierarchy is gone with the last" within 30 no_hierarchy
check "start" sysctl start web1
check "boots" booted web1
sysctl exec web1 -- systemctl poweroff
check "power off from inside" within 60 sh -c 'sysctl list --format csv | grep -q ^web1,stopped'
check "its hierarchy goes by itself" within 30 no_hierarchy
check "start" sysctl start web1
check "stop --force" sysctl stop --force web1
check "its hierarchy goes by itself" within 30 no_hierarchy

check "start" sysctl start web1
check "boots" booted web1
kill -9 $(cat /sys/fs/cgroup/sysctl/*/monitor/cgroup.procs) # of the modern one too
check "start after the monitor was killed" sh -c 'sysctl stop --force web1; sysctl start web1'
lives web1
for after in 0.2 0.4 0.6 0.8 1 1.3 1.6 2; do
    sysctl stop --force web1
    timeout -s KILL $after sysctl start web1
done >/dev/null 2>&1
check "start after killed starts" sh -c 'sysctl stop --force web1; sysctl start web1'
check "boots" booted web1
check "stop everything" sysctl delete --force web1 new
check "nothing left" clean 30
check "nothing left in the hierarchy" within 30 no_hierarchy

# Where somebody has mounted it at the place that everybody recommends, liblxc takes the host for a hybrid one.
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
check "launch" old web1
lives web1
check "a modern one" sysctl launch -q d12 new -c security.privileged=true -c limits.memory=150MiB -c limits.processes=100
check "boots" booted new
same "it has cgroup2" cgroup2 "$(guest new 'stat -fc %T /sys/fs/cgroup | sed s/fs$//')"
bites new
filters new
umount /sys/fs/cgroup/systemd
check "stop" timeout 60 sysctl stop new
check "start while it is not mounted" sysctl start new
check "boots" booted new
mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
for name in web1 new; do
    sysctl exec $name -- touch /run/before
    sysctl exec $name -- systemctl reboot
    check "reboot of $name while it is mounted again" within 120 sysctl exec $name -- test ! -e /run/before
    check "boots" booted $name
    bites $name
    filters $name
done
check "delete" sysctl delete --force web1 new
check "nothing left" clean 30
check "the mount is still there" mountpoint -q /sys/fs/cgroup/systemd
same "and has nothing" "" "$(find /sys/fs/cgroup/systemd -mindepth 1 -type d)"
umount /sys/fs/cgroup/systemd
rmdir /sys/fs/cgroup/systemd
check "the hierarchy is gone" within 30 no_hierarchy
echo END
