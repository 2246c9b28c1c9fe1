# VLANs on a bridge that filters them, by who reaches whom: with which an instance starts, and those that come, change and go while it runs.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait
check "import" sysctl image import small.tar --alias small -q
modprobe 8021q # for guests that have a trunk
check "a bridge that filters" ip link add vlbr type bridge vlan_filtering 1
ip addr add 10.77.0.1/24 dev vlbr
ip link set vlbr up

nic() { echo "nictype=bridged parent=vlbr ipv6.address=none ipv4.address=10.77.0.$1/24"; }
with() { for option; do printf -- '-c devices.eth0.%s ' "$option"; done; }
guest() { sysctl exec "$1" -- sh -c "$2"; }
ping_() { guest "$1" "ping -c1 -W${3-5} 10.77.0.$2 >/dev/null"; }
reaches() { check "$1 reaches .$2" within 20 ping_ "$1" "$2" 2; }
not() { ! "$@"; }
misses() { check "$1 does not reach .$2" not ping_ "$1" "$2" 2; }
ports() { ls /sys/class/net/vlbr/brif | wc -l; }
init() { guest "$1" "cut -d' ' -f22 /proc/1/stat"; }

start() { check "launch $1" sysctl launch -q small "$1" $(with type=nic $(nic "$2") "${@:3}"); }
start a 11 vlan=7
start b 12 vlan=7
start c 13 vlan=8
start d 14
start t 15 vlan=none vlan.tagged=7-8
start u 16 vlan.tagged=8

who() { # who reaches whom, by what each was started with
    reaches a 12
    reaches d 1
    reaches d 16 # what has no tag, and no vlan, is in the bridge's own
    misses a 13
    misses a 14
    misses a 1
    misses c 14
    misses t 1
    misses t 11
}
trunk() { # trunk NAME ADDRESS VLAN: an interface for it in the guest
    guest "$1" "ip link add link eth0 name eth0.$3 type vlan id $3 && ip addr add 10.77.0.$2/24 dev eth0.$3 && ip addr flush dev eth0 && ip link set eth0.$3 up"
}
no_trunk() { guest "$1" "ip link del eth0.$2"; }
who
check "an interface on the trunk" trunk t 17 7
reaches t 11
reaches a 17
misses t 13
no_trunk t 7
check "another" trunk t 17 8
reaches t 13
misses t 11
no_trunk t 8
check "a VLAN that is not on the trunk" trunk u 17 7
misses u 11
no_trunk u 7
check "one that is" trunk u 17 8
reaches u 13
misses u 14

for name in a t; do
    before=$(init $name)
    guest $name reboot
    check "$name reboots" within 60 sh -c '[ "$(sysctl exec '$name' -- cut -d" " -f22 /proc/1/stat)" -gt '"$before"' ]'
done
reaches a 12
misses a 13
misses a 1
misses t 1
check "its trunk" trunk t 17 7
reaches t 11
misses t 13

# One comes while its guest runs, changes and goes.
check "launch h" sysctl launch -q small h
check "a nic comes" sysctl config device add h lan nic $(nic 18) vlan=8 name=eth1
reaches h 13
misses h 11
misses h 1
check "its VLAN is another" sysctl config set -q h devices.lan.vlan=7
reaches h 11
misses h 13
check "none" sysctl config set -q h devices.lan.vlan=none
misses h 11
misses h 1
check "the bridge's" sysctl config unset -q h devices.lan.vlan
reaches h 1
misses h 11
check "tags too" sysctl config set -q h devices.lan.vlan.tagged=7,9-4094
reaches h 1
guest h "ip link add link eth1 name x7 type vlan id 7 && ip addr add 10.78.0.1/24 dev x7 && ip link set x7 up"
guest t "ip addr add 10.78.0.2/24 dev eth0.7"
tagged() { guest h "ping -c1 -W2 10.78.0.2 >/dev/null"; }
check "a tag passes" within 20 tagged
index=$(guest h 'cat /sys/class/net/eth1/ifindex')
check "others do" sysctl config set -q h devices.lan.vlan.tagged=8-9 devices.lan.vlan=6
same "the interface is the same" "$index" "$(guest h 'cat /sys/class/net/eth1/ifindex')"
check "the tag passes no more" not tagged
misses h 1
check "and again" sysctl config set -q h devices.lan.vlan.tagged=7
check "a tag passes again" within 20 tagged
same "ports" 7 "$(ports)"
check "it goes" sysctl config device remove h lan
same "its port went" 6 "$(ports)"
check "the guest's too" not guest h 'test -e /sys/class/net/eth1'

# The same of one with which its instance was started.
check "another VLAN" sysctl config set -q a devices.eth0.vlan=8
reaches a 13
misses a 12
before=$(init a)
guest a reboot
check "it reboots" within 60 sh -c '[ "$(sysctl exec a -- cut -d" " -f22 /proc/1/stat)" -gt '"$before"' ]'
reaches a 13
misses a 12
check "restart" sysctl restart -q a
reaches a 13
misses a 12

# What the bridge cannot do is refused, and nothing is changed.
check "filtering off" ip link set vlbr type bridge vlan_filtering 0
like "refused" 'devices.eth0.vlan: bridge vlbr does not filter VLANs' "$(sysctl config set a devices.eth0.vlan=9 2>&1)"
same "as it was" 8 "$(sysctl config get a devices.eth0.vlan)"
check "stop" sysctl stop -q --force a
like "no start without its VLAN" 'bridge vlbr does not filter them' "$(sysctl start a 2>&1)"
same "it does not run" a,stopped "$(status a)"
ip link set vlbr type bridge vlan_filtering 1
check "delete" sysctl delete --force a b c d t u h
same "no port is left" 0 "$(ports)"
ip link del vlbr
check "nothing left" clean 30
echo END
