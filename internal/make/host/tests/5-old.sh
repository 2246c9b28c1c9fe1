# What a kernel with modules does for iptables of the time before nft; filesystems in memory on cgroup v2; and changed copies that were
# asked for in a tarball and an archive: on this kernel, which kills who calls the vsyscall page, they need no measure.
. ./check
cp -a --remove-destination root/. /
systemctl daemon-reload
check "the host is up" systemctl is-system-running --wait

# iptables' own system call (getsockopt, IPT_SO_GET_INFO).
table='socket(S, 2, 3, 255) or die; $b = pack("a32x52", "filter"); $l = pack("i", 84); print syscall(55, fileno(S), 0, 64, $b, $l) ? "missing" : "found"'
finds() { sysctl exec "$1" -- perl -e "$table"; }
modules() { cut -d' ' -f1 /proc/modules | grep -E '^(ip6?_tables|ip6?table_)' | sort | tr '\n' ' '; }
on_disk() { ls /var/lib/sysctl/layers /var/lib/sysctl/instances 2>/dev/null | grep -v :; }
before=$(on_disk)
mkdir -p t/usr/local/bin t/usr/sbin
cp vsyscall.static vsyscall.dynamic t/usr/local/bin
cp /bin/true t/usr/sbin/xtables-legacy-multi
ln -s xtables-legacy-multi t/usr/sbin/iptables
tar -C t --numeric-owner --owner=0 --group=0 -rf guest.tar ./usr/local/bin/vsyscall.static ./usr/local/bin/vsyscall.dynamic ./usr/sbin/xtables-legacy-multi ./usr/sbin/iptables
check "import" sysctl image import guest.tar --alias old -q
modprobe -q -r ip6_tables ip_tables # systemd loads the second by itself
same "no module of it" "" "$(modules)"
like "the host can" 'works in guests: modules are loaded when one needs them' "$(sysctl check 2>&1)"
like "the verdict" 'boots with measures: .*iptables' "$(sysctl check old)"
check "launch without the measure" sysctl launch -q old off -c compat.iptables=off
same "it finds no table" missing "$(finds off)"
like "the user is told" 'measure iptables: has the host load ip_tables' "$(sysctl launch old on 2>&1)"
same "it finds the table" found "$(finds on)"
like "loaded" '^ip6_tables ip6table_filter ip6table_mangle ip6table_raw ip_tables iptable_filter iptable_mangle iptable_nat iptable_raw ' "$(modules)"
same "and nothing is left to do" "" "$(sysctl check old | grep iptables)"
check "delete" sysctl delete --force on

check "launch with a limit" sysctl launch -q old small -c limits.memory=150MiB
check "boots" booted small
same "/run is a fifth of it" 30720 "$(sysctl exec small -- df -k --output=size /run | tail -n 1 | tr -d ' ')"
like "full, and not killed" 'No space left' "$(sysctl exec small -- sh -c 'head -c 40M /dev/zero >/run/full; rm /run/full' 2>&1)"
same "no failed unit" "" "$(sysctl exec small -- systemctl --failed --no-legend)"
check "delete" sysctl delete --force small

runs() { # runs NAME: what the kernel kills elsewhere tells the time in it, and nothing was done for that at its start
    for kind in static dynamic; do
        like "$1: $kind tells the time" '^time 1[0-9]{9}$' "$(sysctl exec "$1" -- vsyscall.$kind)"
    done
    same "$1: without a measure" "" "$(sysctl info "$1" | grep vsyscall)"
}
for kind in static dynamic; do
    same "$kind: dies in what is imported as it is" 139 "$(sysctl exec off -- vsyscall.$kind >/dev/null 2>&1; echo $?)"
done
check "export the image with copies" sysctl image export old changed.tar --with-compat
check "import it" sysctl image import changed.tar --alias changed -q
rm changed.tar
check "launch" sysctl launch -q changed tarball
runs tarball
check "export an instance with copies" sysctl export off off.tar.zst --with-compat
check "import it" sysctl import off.tar.zst archive -q
check "start" sysctl start archive
runs archive
same "the instance itself is as it was" 139 "$(sysctl exec off -- vsyscall.static >/dev/null 2>&1; echo $?)"
check "delete" sysctl delete --force off tarball archive
check "delete the images" sysctl image delete old changed
same "no layer is left" "$before" "$(on_disk)"
echo END
