# What the limits do on cgroup v2, changed while guests run, by the kernel's own counters; and the timers, under systemd.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait
check "import" sysctl image import guest.tar --alias d12 -q
for name in one two; do
    check "launch" sysctl launch -q d12 $name -c limits.cpu=1-1
done
for name in one two; do check "boots" booted $name; done
check "create" sysctl create -q d12 three -c 'snapshots.schedule=* * * * *' -c snapshots.expiry=1M -c snapshots.schedule.stopped=true
check "enable the timer of schedules" systemctl enable -q --now sysctl-snapshots.timer # which is looked at in the end

cgroup() { sed -nE 's|^0::(.*/guest)(/.*)?$|/sys/fs/cgroup\1|p' "/proc/$(init_of "$1")/cgroup"; }
one=$(cgroup one) two=$(cgroup two)
value() { sed -n "s/^$2 //p" "$1"; }
sum() { find "$1" -name "$2" -exec sed -n "s/^$3 //p" {} + | awk '{ n += $1 } END { print n + 0 }'; } # of a cgroup and those in it
set_() { check "set $*" sysctl config set -q "$@"; }
unset_() { check "unset $*" sysctl config unset -q "$@"; }

# Both guests want the same CPU. race SECONDS: how much of it each gets, until they have had so much together.
spin() { sysctl exec "$1" -- sh -c 'while :; do :; done' & }
usage() { value "$1/cpu.stat" usage_usec; }
race() {
    a=$(usage "$one") b=$(usage "$two")
    until [ $(($(usage "$one") + $(usage "$two") - a - b)) -ge $(($1 * 1000000)) ]; do sleep 0.2; done
    a=$((($(usage "$one") - a) / 1000)) b=$((($(usage "$two") - b) / 1000))
    echo "     one had $a ms, two $b ms"
}
times() { [ $((a * $1)) -le "$b" ]; } # times N: two had at least N times as much as one
spin one
spin two
race 2
race 6
check "nobody has a limit: none has three times as much" sh -c "[ $a -lt $((b * 3)) ] && [ $b -lt $((a * 3)) ]"
set_ one limits.cpu.allowance=10%
race 6
check "limits.cpu.allowance=10% against 100%: two has four times as much or more" times 4
set_ one limits.cpu.allowance=100%
race 6
check "and 100% again" sh -c "[ $b -lt $((a * 3)) ]"
throttled=$(value "$one/cpu.stat" nr_throttled)
set_ one limits.cpu.allowance=10ms/100ms
race 6
check "limits.cpu.allowance=10ms/100ms: two has four times as much or more" times 4
check "it was throttled" [ "$(value "$one/cpu.stat" nr_throttled)" -gt "$throttled" ]
unset_ one limits.cpu.allowance
weights() { echo "$(cat "$one/../cpu.weight") $(cat "$two/../cpu.weight")"; }
set_ one limits.cpu.allowance=20% limits.cpu.priority=0
set_ two limits.cpu.allowance=20%
echo "     weights $(weights)"
race 10
check "limits.cpu.priority=0 against 10, at shares where it matters: two has more" [ $((a * 11)) -lt $((b * 10)) ]
unset_ one limits.cpu.allowance limits.cpu.priority
unset_ two limits.cpu.allowance
sysctl exec one -- pkill -f 'while :'
sysctl exec two -- pkill -f 'while :'
wait

# Memory: a hog of 150 MiB, which perl keeps and writes to.
hog() { sysctl exec one -- perl -e '$x .= "x" x (1 << 20) for 1 .. 150; substr($x, $_ << 12, 1) = "y" for 0 .. 38399; print length($x)'; }
same "no limit: it is done" $((150 << 20)) "$(hog)"
set_ one limits.memory=100MiB
killed=$(value "$one/memory.events" oom_kill)
hog >/dev/null 2>&1
same "limits.memory=100MiB: it is killed" 137 $?
check "by the kernel, for that" [ "$(value "$one/memory.events" oom_kill)" -gt "$killed" ]
check "and nobody else" sysctl exec two -- true
dd if=/dev/zero of=/swap bs=1M count=256 status=none && chmod 600 /swap && mkswap -q /swap && swapon /swap
check "the host has swap" grep -q /swap /proc/swaps
out=$(value /proc/vmstat pswpout)
same "with swap it is done" $((150 << 20)) "$(hog)"
check "swapped out" [ "$(value /proc/vmstat pswpout)" -gt $((out + 1000)) ]
set_ one limits.memory.swap=false
killed=$(value "$one/memory.events" oom_kill)
hog >/dev/null 2>&1
same "limits.memory.swap=false: it is killed" 137 $?
check "by the kernel, for that" [ "$(value "$one/memory.events" oom_kill)" -gt "$killed" ]
unset_ one limits.memory limits.memory.swap
same "and without limits it is done again" $((150 << 20)) "$(hog)"
swapoff /swap

# Processes: a bomb, which ends with the shell that waits for it.
set_ one limits.processes=80
hits=$(sum "$one" pids.events max)
sysctl exec one -- perl -e 'for (1 .. 300) { my $p = fork; exit 1 unless defined $p; $p or do { sleep 600; exit } }' >/dev/null 2>&1
same "limits.processes=80: a fork bomb comes to an end" 1 $?
check "by the kernel, for that" [ "$(sum "$one" pids.events max)" -gt "$hits" ]
check "within the limit" [ "$(cat "$one/pids.current")" -le 80 ]
check "and the host forks" true "$(true)"
unset_ one limits.processes
sysctl exec one -- perl -e 'for (1 .. 300) { my $p = fork; exit 1 unless defined $p; $p or do { sleep 600; exit } }' >/dev/null 2>&1
same "without it the bomb has its 300" 0 $?
sysctl exec one -- pkill -f 'sleep 600'

# Disk priority, by both means that this kernel has: BFQ on the disk of both, and io.cost.
for name in one two; do
    check "a file to read" sysctl exec $name -- dd if=/dev/urandom of=/big bs=1M count=32 conv=fsync status=none
done
device=$(cat /sys/block/vda/dev)
bytes() { sed -nE "s/^$device .*rbytes=([0-9]+).*/\1/p" "$1/../io.stat"; }
read_race() { # until both have read so many MiB
    a=$(bytes "$one") b=$(bytes "$two")
    until [ $(($(bytes "$one") + $(bytes "$two") - a - b)) -ge $(($1 << 20)) ]; do sleep 0.2; done
    a=$(($(bytes "$one") - a)) b=$(($(bytes "$two") - b))
    echo "     one has read $((a >> 10)) KiB, two $((b >> 10)) KiB"
}
both() { [ -n "$(bytes "$one")" ] && [ -n "$(bytes "$two")" ]; }
weighs() { # weighs FILE MIB: both read at once, and their weights are in FILE
    for name in one two; do
        sysctl exec $name -- sh -c 'for i in 1 2; do while :; do dd if=/big of=/dev/null bs=256k iflag=direct status=none || exit; done & done; wait' &
    done
    check "both read" within 60 both
    set_ one limits.disk.priority=0
    set_ two limits.disk.priority=10
    same "$1" "default 2 default 200" "$(cat "$one/../$1" "$two/../$1" | xargs)"
    read_race "$2"
    a1=$a b1=$b
    set_ one limits.disk.priority=10
    set_ two limits.disk.priority=0
    read_race "$2"
    # How much either gets depends on how soon it asks again. What the priorities make of that does not.
    check "limits.disk.priority by $1: 0 and 10 the other way round make twice as much difference or more" [ $((a * b1)) -ge $((2 * a1 * b)) ]
    sysctl exec one -- pkill -f 'while :'
    sysctl exec two -- pkill -f 'while :'
    wait
}
modprobe bfq
check "BFQ" sh -c 'echo bfq >/sys/block/vda/queue/scheduler'
echo 0 >/sys/block/vda/queue/iosched/low_latency # which favours who has just begun
echo 1 >/sys/block/vda/queue/iosched/strict_guarantees
echo 200 >/sys/block/vda/queue/iosched/slice_idle # ms: readers in an emulator are slow to ask again
weighs io.bfq.weight 128
check "no scheduler" sh -c 'echo none >/sys/block/vda/queue/scheduler'
# A disk that is said to read 32 MiB/s, which it does, whatever its latencies.
check "io.cost" sh -c "echo '$device ctrl=user model=linear rbps=33554432 rseqiops=4000 rrandiops=4000 wbps=333554432 wseqiops=40000 wrandiops=40000' >/sys/fs/cgroup/io.cost.model"
check "it is on" sh -c "echo '$device enable=1 ctrl=user rpct=0 rlat=1000000 wpct=0 wlat=1000000 min=100 max=100' >/sys/fs/cgroup/io.cost.qos"
weighs io.weight 128
echo "$device enable=0" >/sys/fs/cgroup/io.cost.qos

# Scheduled snapshots by the timer that is installed.
snapshots() { sysctl snapshot list three --format csv | tail -n +2 | cut -d, -f1; }
one_more() { snapshots >snapshots; [ -s snapshots ]; }
check "sysctl-snapshots.timer makes a snapshot" within 200 one_more
first=$(head -n 1 snapshots)
gone() { ! snapshots | grep -qx "$first"; }
check "and deletes it when it has expired" within 200 gone
same "its service succeeded" success "$(systemctl show -P Result sysctl-snapshots.service)"
check "delete all" sysctl delete --force one two three
check "nothing left" clean 30
echo END
