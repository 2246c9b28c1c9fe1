# What an instance does from its launch to its end, and, at the end, one that is left running when the host powers off.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait
said=$(sysctl check 2>&1)
like "cgroup layout" 'cgroup layout +ok +v2' "$said"
like "AppArmor" 'AppArmor +ok +on' "$said"
same "nothing fatal" "" "$(echo "$said" | grep -i ' fatal ')"
echo "$said" | grep -i ' warning ' | sed 's/^/     /'

like "vsyscall" 'vsyscall page +ok +none' "$said"
like "named hierarchy" 'named cgroup v1 hierarchy +ok +can be made' "$said"
same "a verdict for every template" "$(sysctl template list -q | wc -l)" "$(sysctl check --all --format json | grep -c '^    "boots":')"
like "CentOS 7" 'boots with measures: .*cgroup-named' "$(sysctl check centos7)"
like "CentOS 6" 'boots with measures: .*vsyscall' "$(sysctl check centos6)"

check "import" sysctl image import guest.tar --alias d12 -q
check "launch" sysctl launch -q d12 web1
check "boots to running" booted web1
same "no failed unit" "" "$(sysctl exec web1 -- systemctl --failed --no-legend)"
check "exec true" sysctl exec web1 -- true
same "the guest sees cgroup2 only" cgroup2 "$(sysctl exec web1 -- stat -fc %T /sys/fs/cgroup | sed s/fs$//)"

enforced='^lxc-sysctl-.*\(enforce\)$'
like "init is confined" "$enforced" "$(label "$(init_of web1)")"
for user in root nobody; do
    sysctl exec web1 --user $user -- sleep 97 &
    check "exec as $user" within 20 pgrep -xf 'sleep 97'
    same "its label is init's" "$(label "$(init_of web1)")" "$(label "$(pgrep -xf 'sleep 97')")"
    pkill -xf 'sleep 97'
    wait
done
check "no denial of an exec, a signal or a trace" sh -c '! dmesg | grep -E "apparmor=.DENIED.*operation=.(exec|signal|ptrace|change)"'
same "exec --user" 34 "$(sysctl exec web1 --user backup -- id -u)"
same "exit status" 7 "$(sysctl exec web1 -- sh -c 'exit 7'; echo $?)"
like "exec -t" 'yes' "$(script -qec "sysctl exec -t web1 --user nobody -- sh -c 'echo yes >\$(tty); stat -c %U \$(tty)'" /dev/null </dev/null)"
same "a killed command" 137 "$(sysctl exec web1 -- sh -c 'kill -9 $$'; echo $?)"
like "capabilities of exec are init's" '^(CapBnd:.([0-9a-f]+) ?)\1$' "$(sysctl exec web1 -- grep -h CapBnd /proc/1/status /proc/self/status | tr '\n' ' ')"

check "memory limit" sysctl config set web1 limits.memory=200MiB
check "processes limit" sysctl config set web1 limits.processes=80
check "cpu limit" sysctl config set web1 limits.cpu=1
same "one CPU" 1 "$(sysctl exec web1 -- nproc)"
# systemd manages the same hierarchy, and takes away controllers that none of its units asks for.
systemctl daemon-reload
systemd-run -q --wait -p CPUWeight=50 -p MemoryMax=50M true
systemctl daemon-reexec
same "one CPU, whatever systemd does" 1 "$(sysctl exec web1 -- nproc)"
check "memory bites" sh -c '! sysctl exec web1 -- sh -c "head -c 400M /dev/zero | tail -c 300M >/dev/null"'
like "processes bite" 'fork' "$(sysctl exec web1 -- sh -c 'i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done' 2>&1)"
check "no device" sh -c '! sysctl exec web1 -- sh -c "mknod /tmp/vda b 254 0 && head -c1 /tmp/vda"'

check "freeze" sysctl freeze web1
same "frozen" web1,frozen "$(status)"
like "no exec in it" frozen "$(sysctl exec web1 -- true 2>&1)"
check "unfreeze" sysctl unfreeze web1
check "exec again" sysctl exec web1 -- true

boot=$(sysctl exec web1 -- cat /proc/1/stat | cut -d' ' -f22)
sysctl exec web1 -- systemctl reboot
check "reboot from inside" within 120 sh -c '[ "$(sysctl exec web1 -- cut -d" " -f22 /proc/1/stat)" -gt '"$boot"' ]'
check "boots to running again" booted web1
like "confined again" "$enforced" "$(label "$(init_of web1)")"
same "limits again" 1 "$(sysctl exec web1 -- nproc)"
like "console" 'web1 login|Debian|Welcome' "$(sysctl console web1 --log)"
check "attach to the console" within 20 script -qec 'sysctl console web1' /dev/null < <(printf '\n\001q')
sysctl exec web1 -- systemctl poweroff
check "power off from inside" within 60 sh -c '[ "$(sysctl list --format csv | cut -d, -f1,2 | tail -n 1)" = web1,stopped ]'
check "what it leaves goes by itself" clean 30

check "start" sysctl start web1
check "stop" timeout 60 sysctl stop web1
same "stopped" web1,stopped "$(status)"
check "nothing left by stop" clean 0
check "start" sysctl start web1
check "stop --force" sysctl stop --force web1
check "start at once" sysctl start web1
check "exec at once" sysctl exec web1 -- true
check "freeze" sysctl freeze web1
check "stop --force of a frozen one" sysctl stop --force web1
check "what a kill leaves goes by itself" clean 30
check "restart after that" sysctl start web1
check "boots" booted web1
check "restart" timeout 90 sysctl restart web1

check "stop" sysctl stop web1
check "start in a service that ends at once" systemd-run -q --wait sysctl start web1
check "outlives it" booted web1

# kill -9 of a launch at some moments of its life, profile compiler included, and the same name again.
for after in 0.3 0.6 0.9 1.2 1.5 1.8 2.1 2.5 3 4; do
    timeout -s KILL $after sysctl launch -q d12 killed
    sysctl delete --force killed
done >/dev/null 2>&1
check "launch after killed launches" sysctl launch -q d12 killed
check "delete it" sysctl delete --force killed
same "one profile" 1 "$(grep -c ^lxc-sysctl /sys/kernel/security/apparmor/profiles)"
same "one policy namespace" 1 "$(ls /sys/kernel/security/apparmor/policy/namespaces | wc -l)"

check "ephemeral" sysctl launch -q --ephemeral d12 gone
check "boots" booted gone
check "two profiles" sh -c '[ "$(grep -c ^lxc-sysctl /sys/kernel/security/apparmor/profiles)" = 2 ]'
sysctl exec gone -- systemctl poweroff
check "goes when it stops" within 60 sh -c '! sysctl list -q | grep -x gone'
check "privileged" sysctl launch -q d12 priv -c security.privileged=true
check "boots" booted priv
like "privileged is confined" "$enforced" "$(label "$(init_of priv)")"
like "the profile denies" 'Permission denied' "$(sysctl exec priv -- head -c 1 /proc/kcore 2>&1)" # a mere capability: not permitted
check "delete --force" sysctl delete --force priv web1
check "nothing left by delete" clean 30

check "launch for the next boot" sysctl launch -q d12 auto -c boot.autostart=true
check "boots" booted auto
at_halt auto 'echo bye >>/root/bye'
check "enable autostart" systemctl enable -q --now sysctl-autostart
systemctl restart sysctl-autostart
same "its restart ends nobody" auto,running "$(status)"
check "launch one without" sysctl launch -q d12 other
echo END
